import { generateKeyPairSync } from "node:crypto";
import { mkdir, readFile, readdir, rename, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setInterval } from "node:timers/promises";
import { parse, stringify } from "yaml";
import { type BinaryName, binary } from "../../harness/binaries.ts";
import { type Authority, createAuthority } from "../../harness/certificates.ts";
import { type RunningProcess, freePorts, startProcess } from "../../harness/process.ts";
import { type Answer, type Host, startHost, untilHealthy } from "./host.ts";

export interface KubeadmOptions {
  directory: string;
  nodes: number;
  /** Run a kube-apiserver, too. */
  apiServer: boolean;
  examples: ReadonlyMap<string, string>;
  env: Record<string, string>;
}

/** The command in the manifest of a program that is not run. */
const notStarted = "not-started";
const programs = new Map<string, BinaryName>([
  ["etcd", "etcd"],
  ["kube-apiserver", "kube-apiserver"],
]);

/**
 * Control-plane nodes cp1, cp2, … with the certificates and static pods of kubeadm, and a running etcd. Addresses are
 * ports of 127.0.0.1. Instead of a kubelet, a loop starts what has a manifest and stops what has none. Of the control
 * plane only etcd and, with `apiServer`, kube-apiserver run.
 */
export async function startKubeadmNodes(
  options: KubeadmOptions,
): Promise<{ nodes: Host[] } & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const portsPerNode = 5;
  const ports = await freePorts(portsPerNode * options.nodes);
  const authorities = {
    etcd: await createAuthority("etcd-ca"),
    kubernetes: await createAuthority("kubernetes"),
  };
  const shared = Array.from({ length: options.nodes }, (_, i) =>
    [2379, 2380, 6443].map(
      (port, k) => [`10.0.0.${11 + i}:${port}`, `127.0.0.1:${ports[portsPerNode * i + k]}`] as const,
    ),
  ).flat();
  const nodes: Host[] = [];
  for (let i = 0; i < options.nodes; i += 1) {
    const own = [2379, 2381].map(
      (port, k) => [`127.0.0.1:${port}`, `127.0.0.1:${ports[portsPerNode * i + 3 + k]}`] as const,
    );
    const node = stack.use(
      await startNode({ ...options, name: `cp${i + 1}`, addresses: [...shared, ...own] }),
    );
    await writeCertificates(authorities, node, i);
    if (options.apiServer) await symlink(await binary("kubectl"), node.path("/usr/local/bin/kubectl"));
    nodes.push(node);
  }
  for (const [i, node] of nodes.entries()) await writeManifests(node, i, { ...options, bootstrap: true });
  for (const node of nodes) await untilHealthy(node);
  for (const [i, node] of nodes.entries()) await writeManifests(node, i, { ...options, bootstrap: false });
  const started = stack.move();
  return { nodes, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

async function startNode(
  options: Pick<KubeadmOptions, "directory" | "examples" | "env"> & {
    name: string;
    addresses: (readonly [string, string])[];
  },
): Promise<Host> {
  const directory = join(options.directory, options.name);
  const manifests = join(directory, "root", "etc", "kubernetes", "manifests");
  await mkdir(manifests, { recursive: true });
  await using stack = new AsyncDisposableStack();
  const kubelet = stack.use(startKubelet(manifests));
  const standIns = { crictl: kubelet.crictl };
  const host = stack.use(await startHost({ ...options, directory, standIns }));
  const started = stack.move();
  return { ...host, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

/** Runs static pods as a kubelet does. A container that exits is started again. */
function startKubelet(manifests: string): { crictl: (args: string[]) => Promise<Answer> } & AsyncDisposable {
  const containers = new Map<string, RunningProcess | undefined>();
  const stopping = new AbortController();
  const sync = async (): Promise<void> => {
    const wanted = new Set((await readdir(manifests)).map((file) => file.replace(/\.yaml$/, "")));
    for (const [name, process] of containers)
      if (!wanted.has(name)) {
        await process?.stop();
        containers.delete(name);
      }
    for (const name of wanted) {
      if (containers.has(name) && containers.get(name)?.running !== false) continue;
      // The manifest may have been moved away since the listing.
      const pod = await readFile(join(manifests, `${name}.yaml`), "utf8").catch(() => undefined);
      if (pod !== undefined) containers.set(name, await startContainer(parse(pod) as Pod));
    }
  };
  const loop = async (): Promise<void> => {
    try {
      for await (const _ of setInterval(200, undefined, { signal: stopping.signal })) await sync();
    } catch (error) {
      if (!stopping.signal.aborted) throw error;
    }
  };
  const running = loop();
  return {
    async crictl(args) {
      const name = new RegExp(args[args.indexOf("--name") + 1] ?? "");
      return { stdout: [...containers.keys()].filter((container) => name.test(container)).join("\n") };
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await running;
      const left = [...containers.values()].filter((process) => process !== undefined);
      await Promise.all(left.map((process) => process.kill()));
    },
  };
}

interface Pod {
  spec: { containers: { name: string; command: string[] }[] };
}

async function startContainer(pod: Pod): Promise<RunningProcess | undefined> {
  const [name = "", ...args] = pod.spec.containers[0]?.command ?? [];
  const program = programs.get(name);
  return program === undefined ? undefined : startProcess(await binary(program), args, { name });
}

type Bootstrap = Pick<KubeadmOptions, "nodes" | "apiServer"> & { bootstrap: boolean };

/** Manifests with the flags of kubeadm. After the bootstrap each etcd lists the members that existed when it joined. */
async function writeManifests(node: Host, index: number, options: Bootstrap): Promise<void> {
  const address = `10.0.0.${11 + index}`;
  const known = options.bootstrap ? options.nodes : index + 1;
  const members = Array.from({ length: known }, (_, i) => `cp${i + 1}=https://10.0.0.${11 + i}:2380`);
  const pki = "/etc/kubernetes/pki";
  await manifest(node, "etcd", [
    `--advertise-client-urls=https://${address}:2379`,
    `--cert-file=${pki}/etcd/server.crt`,
    "--client-cert-auth=true",
    "--data-dir=/var/lib/etcd",
    `--initial-advertise-peer-urls=https://${address}:2380`,
    `--initial-cluster=${members.join(",")}`,
    ...(options.bootstrap || index === 0 ? [] : ["--initial-cluster-state=existing"]),
    `--key-file=${pki}/etcd/server.key`,
    `--listen-client-urls=https://127.0.0.1:2379,https://${address}:2379`,
    "--listen-metrics-urls=http://127.0.0.1:2381",
    `--listen-peer-urls=https://${address}:2380`,
    `--name=cp${index + 1}`,
    `--peer-cert-file=${pki}/etcd/peer.crt`,
    "--peer-client-cert-auth=true",
    `--peer-key-file=${pki}/etcd/peer.key`,
    `--peer-trusted-ca-file=${pki}/etcd/ca.crt`,
    `--trusted-ca-file=${pki}/etcd/ca.crt`,
    "--unsafe-no-fsync=true",
  ]);
  const port = node.here(`${address}:6443`).split(":")[1] ?? "";
  const apiServer = [
    "--authorization-mode=Node,RBAC",
    "--bind-address=127.0.0.1",
    `--client-ca-file=${pki}/ca.crt`,
    // The Service kubernetes cannot have a loopback address.
    "--endpoint-reconciler-type=none",
    `--etcd-cafile=${pki}/etcd/ca.crt`,
    `--etcd-certfile=${pki}/apiserver-etcd-client.crt`,
    `--etcd-keyfile=${pki}/apiserver-etcd-client.key`,
    "--etcd-servers=https://127.0.0.1:2379",
    `--secure-port=${port}`,
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    `--service-account-key-file=${pki}/sa.pub`,
    `--service-account-signing-key-file=${pki}/sa.key`,
    "--service-cluster-ip-range=10.96.0.0/16",
    `--tls-cert-file=${pki}/apiserver.crt`,
    `--tls-private-key-file=${pki}/apiserver.key`,
  ];
  await manifest(node, "kube-apiserver", apiServer, options.apiServer ? "kube-apiserver" : notStarted);
  for (const name of ["kube-controller-manager", "kube-scheduler"])
    await manifest(node, name, [], notStarted);
}

async function manifest(node: Host, name: string, flags: string[], program = name): Promise<void> {
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "kube-system" },
    spec: { containers: [{ name, command: [program, ...flags] }], hostNetwork: true },
  };
  // By a rename, since the kubelet may read the directory at any time.
  const draft = node.path(`/etc/kubernetes/${name}.yaml`);
  await writeFile(draft, node.here(stringify(pod, { lineWidth: 0 })));
  await rename(draft, node.path(`/etc/kubernetes/manifests/${name}.yaml`));
}

async function writeCertificates(
  { etcd, kubernetes }: { etcd: Authority; kubernetes: Authority },
  node: Host,
  index: number,
): Promise<void> {
  const write = async (path: string, content: string): Promise<void> => {
    const file = node.path(`/etc/kubernetes/${path}`);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content, { mode: 0o600 });
  };
  const issue = async (authority: Authority, path: string, commonName: string): Promise<void> => {
    const { certPem, keyPem } = await authority.issue({ commonName, hosts: ["127.0.0.1", "localhost"] });
    await write(`pki/${path}.crt`, certPem);
    await write(`pki/${path}.key`, keyPem);
  };
  await write("pki/ca.crt", kubernetes.caPem);
  await write("pki/etcd/ca.crt", etcd.caPem);
  for (const name of ["etcd/server", "etcd/peer", "etcd/healthcheck-client", "apiserver-etcd-client"])
    await issue(etcd, name, name);
  await issue(kubernetes, "apiserver", "kube-apiserver");
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  await write("pki/sa.key", String(privateKey.export({ type: "sec1", format: "pem" })));
  await write("pki/sa.pub", String(publicKey.export({ type: "spki", format: "pem" })));
  const admin = await kubernetes.issue({ commonName: "kubernetes-admin", organization: "system:masters" });
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const server = node.here(`https://10.0.0.${11 + index}:6443`);
  await write(
    "admin.conf",
    stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        { name: "kubernetes", cluster: { server, "certificate-authority-data": base64(kubernetes.caPem) } },
      ],
      users: [
        {
          name: "admin",
          user: { "client-certificate-data": base64(admin.certPem), "client-key-data": base64(admin.keyPem) },
        },
      ],
      contexts: [{ name: "admin", context: { cluster: "kubernetes", user: "admin" } }],
      "current-context": "admin",
    }),
  );
}
