import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Etcd3 } from "etcd3";
import { parseAllDocuments, stringify } from "yaml";
import { type ApiServer, startApiServer } from "./harness/api-server.ts";
import { etcdBackup, etcdBackupPath, s3Store } from "./harness/etcd-backup.ts";
import { binary } from "./harness/binaries.ts";
import { type EtcdCluster, startEtcd } from "./harness/etcd-cluster.ts";
import { freePorts, startProcess, tempDir } from "./harness/process.ts";
import { type S3Server, startS3 } from "./harness/s3-server.ts";
import { bootRestored, planMembers } from "./support/restore.ts";

// Backups and a restore on real servers, on loopback: `npm run demo`. With `npm run demo -- --keep` everything runs until Ctrl-C.

const samples = join(import.meta.dirname, "..", "deploy", "samples");
const keep = process.argv.includes("--keep");
const print = (text = "") => process.stdout.write(`${text}\n`);
const title = (text: string) => print(`\n== ${text}`);
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort(signal));

/** Runs the program, and prints the command line and its output. Throws on a non-zero exit code. */
async function runProgram(args: string[], env: Record<string, string>): Promise<string> {
  print(`$ etcd-backup ${args.join(" ")}`);
  const { code, stdout, stderr } = await etcdBackup(args, env, stop.signal);
  process.stdout.write(`${stderr}${stdout}`);
  if (code !== 0) throw new Error(`etcd-backup ${args[0]} ended with exit code ${code}`);
  return stdout;
}

async function kubectl(api: ApiServer, args: string[]): Promise<string> {
  print(`$ kubectl ${args.join(" ")}`);
  const out = await api.kubectl(args);
  process.stdout.write(out);
  return out;
}

/** Writes about 130 MB that compress like the data of an API server, in transactions of 50 keys. */
async function writeSampleData(etcd: EtcdCluster): Promise<void> {
  const { tls } = etcd;
  if (tls === undefined) throw new Error("the demo's etcd has TLS");
  const [ca, cert, key] = [tls.caPem, tls.certPem, tls.keyPem].map((pem) => Buffer.from(pem));
  if (ca === undefined || cert === undefined || key === undefined)
    throw new Error("certificates are missing");
  const client = new Etcd3({
    hosts: etcd.endpoints,
    credentials: { rootCertificate: ca, certChain: cert, privateKey: key },
  });
  try {
    for (let batch = 0; batch < 125; batch += 1) {
      stop.signal.throwIfAborted();
      const success = Array.from({ length: 50 }, (_, i) => {
        const name = `pod-${batch * 50 + i}`;
        const value = JSON.stringify({
          kind: "Pod",
          metadata: { name },
          spec: {
            image: randomBytes(6_000).toString("base64"),
            labels: "app.kubernetes.io/name=web ".repeat(400),
          },
        });
        return {
          request_put: { key: Buffer.from(`/registry/pods/default/${name}`), value: Buffer.from(value) },
        };
      });
      await client.kv.txn({ compare: [], success, failure: [] });
    }
  } finally {
    client.close();
  }
}

/** A shell script that exports `env`, with the demo's programs on PATH. */
async function shellScript(env: Record<string, string>): Promise<string> {
  const programs = [etcdBackupPath, await binary("kubectl"), await binary("etcdutl", "3.6")].map((path) =>
    dirname(path),
  );
  const lines = Object.entries(env).map(([name, value]) => `export ${name}='${value}'`);
  return `${lines.join("\n")}\nexport PATH='${programs.join(":")}':"$PATH"\n`;
}

/** The program's variables, which etcdctl and the AWS tools also read. */
function environment(etcd: EtcdCluster, s3: S3Server): Record<string, string> {
  const { url, env } = s3Store(s3, "etcd-backups", "clusters");
  return {
    ETCDCTL_ENDPOINTS: etcd.endpoints.join(","),
    ...(etcd.tls === undefined
      ? {}
      : { ETCDCTL_CACERT: etcd.tls.caFile, ETCDCTL_CERT: etcd.tls.certFile, ETCDCTL_KEY: etcd.tls.keyFile }),
    ETCD_BACKUP_STORE: url,
    ...env,
  };
}

/** The samples of deploy/, with this demo's addresses and credentials. */
async function sampleManifests(etcd: EtcdCluster, s3: S3Server): Promise<string> {
  const { tls } = etcd;
  const secrets: Record<string, Record<string, string>> = {
    "prod-store": { AWS_ACCESS_KEY_ID: s3.accessKeyId, AWS_SECRET_ACCESS_KEY: s3.secretAccessKey },
    "prod-etcd-client": {
      "ca.crt": tls?.caPem ?? "",
      "tls.crt": tls?.certPem ?? "",
      "tls.key": tls?.keyPem ?? "",
    },
  };
  const documents: string[] = [];
  for (const file of ["secrets.yaml", "store.yaml", "backup.yaml"]) {
    for (const document of parseAllDocuments(await readFile(join(samples, file), "utf8"))) {
      const name = String(document.getIn(["metadata", "name"]));
      if (document.get("kind") === "Secret") document.set("stringData", secrets[name]);
      if (document.get("kind") === "EtcdBackupStore") document.setIn(["spec", "s3", "endpoint"], s3.endpoint);
      if (document.get("kind") === "EtcdBackup")
        document.setIn(["spec", "etcd", "endpoints"], etcd.endpoints);
      documents.push(stringify(document));
    }
  }
  return documents.join("---\n");
}

/** Prints the backup's reason and message whenever they change, until it has finished. */
async function follow(api: ApiServer): Promise<void> {
  let last = "";
  for (;;) {
    stop.signal.throwIfAborted();
    const status = await api.kubectl([
      "get",
      "etcdbackup",
      "prod",
      "-o",
      'jsonpath={.status.conditions[?(@.type=="Finished")].status}|{.status.conditions[?(@.type=="Succeeded")].reason}: {.status.conditions[?(@.type=="Succeeded")].message}',
    ]);
    const [finished, line = ""] = status.split("|");
    if (line !== last && line !== ": ") print(`  ${line}`);
    last = line;
    if (finished === "True") return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

interface Servers {
  etcd: EtcdCluster;
  s3: S3Server;
  api: ApiServer;
  /** For the program, etcdctl and the AWS tools. */
  env: Record<string, string>;
}

async function startServers(stack: AsyncDisposableStack): Promise<Servers> {
  const etcd = stack.use(await startEtcd({ members: 3, tls: true }));
  const s3 = stack.use(await startS3());
  const api = stack.use(await startApiServer());
  await s3.createBucket("etcd-backups");
  await api.applyCrds();
  const [port = 0] = await freePorts(1);
  const operator = stack.use(
    startProcess(
      etcdBackupPath,
      [
        "operator",
        "--kubeconfig",
        api.kubeconfigPath,
        "--listen",
        `127.0.0.1:${port}`,
        "--loopback-namespaces=*",
      ],
      { name: "etcd-backup operator" },
    ),
  );
  print(`  etcd        ${etcd.endpoints.join(" ")}`);
  print(`  API server  ${api.url}   (KUBECONFIG=${api.kubeconfigPath})`);
  print(`  S3          ${s3.endpoint}/etcd-backups`);
  print(`  operator    pid ${operator.pid}, http://127.0.0.1:${port}/metrics`);
  return { etcd, s3, api, env: environment(etcd, s3) };
}

async function backUpByResource({ etcd, s3, api }: Servers): Promise<void> {
  print("$ kubectl apply -f deploy/samples/    (with this demo's addresses and credentials)");
  process.stdout.write(await api.kubectl(["apply", "-f", "-"], { input: await sampleManifests(etcd, s3) }));
  await follow(api);
  await kubectl(api, ["wait", "--for=condition=Succeeded", "etcdbackup/prod", "--timeout=60s"]);
  await kubectl(api, ["get", "etcdbackups", "-o", "wide"]);
  await kubectl(api, ["get", "etcdbackupstores"]);
  await kubectl(api, ["events", "--for", "etcdbackup/prod"]);
}

/** A schedule whose backups come every few seconds, by its trigger: cron has no seconds. */
async function backUpBySchedule({ etcd, s3, api, env }: Servers): Promise<void> {
  const spec = parseAllDocuments(await sampleManifests(etcd, s3))
    .find((document) => document.get("kind") === "EtcdBackup")
    ?.toJS() as { spec: object };
  const schedule = {
    apiVersion: "etcdbackup.dev/v1alpha1",
    kind: "EtcdBackupSchedule",
    metadata: { name: "prod" },
    spec: {
      schedule: "0 */6 * * *",
      timeZone: "Europe/Berlin",
      jitter: "10m",
      retention: { keepLast: 3 },
      template: { spec: spec.spec },
    },
  };
  print("$ kubectl apply -f -    (an EtcdBackupSchedule with retention keepLast 3)");
  process.stdout.write(await api.kubectl(["apply", "-f", "-"], { input: JSON.stringify(schedule) }));
  const where = ["--kubeconfig", api.kubeconfigPath, "-n", "default"];
  for (let backup = 1; backup <= 5; backup += 1) {
    const [, name = ""] =
      /^ETCDBACKUP +(\S+)/.exec(await runProgram(["--quiet", "trigger", "prod", "--wait", ...where], {})) ??
      [];
    const carriedOut = `--for=jsonpath={.status.retention.after}=${name}`;
    await api.kubectl(["wait", "etcdbackupschedule/prod", carriedOut, "--timeout=60s"]);
  }
  await kubectl(api, ["get", "etcdbackupschedules", "-o", "wide"]);
  await kubectl(api, ["get", "etcdbackups"]);
  await kubectl(api, ["events", "--for", "etcdbackupschedule/prod"]);
  print("The next backup will remove:");
  const next = '{range .status.retention.next[*]}  {.backup}  {.reason}{"\\n"}{end}';
  await kubectl(api, ["get", "etcdbackupschedule", "prod", "-o", `jsonpath=${next}`]);
  await runProgram(["list"], env);
}

/** Throws if the program's status hash is not in the output of etcdutl. */
async function fetchAndCompare({ etcd, env }: Servers, file: string): Promise<void> {
  await runProgram(["verify", "latest"], env);
  await runProgram(["fetch", "latest", "-o", file], env);
  const status = await runProgram(["status", file], env);
  print("$ etcdutl snapshot status snapshot.db -w table");
  const etcdutlStatus = await etcd.etcdutl(["snapshot", "status", file, "-w", "table"]);
  process.stdout.write(etcdutlStatus);
  const hash = status.split("\n")[1]?.split(/\s+/)[0] ?? "";
  if (hash === "" || !etcdutlStatus.includes(hash))
    throw new Error("etcd-backup status and etcdutl show different hashes");
}

async function restore(
  { etcd, env }: Servers,
  directory: string,
  stack: AsyncDisposableStack,
): Promise<void> {
  if (!keep) await Promise.all(etcd.members.map((member) => member.kill()));
  const { members, initialCluster } = await planMembers(directory, 3, { tls: true });
  const template = join(directory, "data/{name}");
  const flags = ["--all-members", "--initial-cluster", initialCluster, "--data-dir-template", template];
  await runProgram(["restore", "latest", ...flags], {
    ...env,
    PATH: `${dirname(await binary("etcdutl", "3.6"))}:${process.env["PATH"] ?? ""}`,
  });
  const restored = stack.use(await bootRestored({ members, tls: true }));
  for (const args of [
    ["endpoint", "hashkv", "--cluster", "-w", "table"],
    ["get", "/registry/pods/", "--prefix", "--count-only", "-w", "fields"],
  ]) {
    print(`$ etcdctl ${args.join(" ")}`);
    process.stdout.write(await restored.etcdctl(args));
  }
}

async function demo(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const began = performance.now();
  title("Starting etcd (3 members, TLS), an API server, an S3 server and the operator on loopback");
  const servers = await startServers(stack);
  const { etcd, api, env } = servers;
  const directory = stack.use(await tempDir("etcd-backup-demo")).path;
  const variables = join(directory, "env.sh");
  await writeFile(variables, await shellScript({ ...env, KUBECONFIG: api.kubeconfigPath }), { mode: 0o600 });
  print(`  variables   source ${variables}   (etcd, store, KUBECONFIG and PATH for the commands below)`);

  title("Writing sample data");
  await writeSampleData(etcd);
  title("Show the members, and which one a snapshot would use");
  await runProgram(["members"], env);
  title("Back up by custom resource");
  await backUpByResource(servers);
  title("Back up by command line, without the API server");
  await runProgram(["save", "--cluster-name", "prod"], env);
  await runProgram(["list"], env);
  title("Back up on a schedule, and keep the last three");
  await backUpBySchedule(servers);
  title("Verify and fetch the backup, and compare its status with etcdutl's");
  await fetchAndCompare(servers, join(directory, "snapshot.db"));
  title("Restore the backup into a new cluster, without the API server");
  await restore(servers, directory, stack);

  if (keep) {
    title("Everything keeps running until Ctrl-C");
    await new Promise((resolve) => stop.signal.addEventListener("abort", resolve, { once: true }));
  }
  title(`Done in ${((performance.now() - began) / 1000).toFixed(0)} s; stopping the servers`);
}

try {
  await demo();
} catch (error) {
  if (!stop.signal.aborted) {
    process.stderr.write(`demo failed: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
if (stop.signal.aborted && !keep) process.exitCode = 130;
