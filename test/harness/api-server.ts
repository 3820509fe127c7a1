import { generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { binary } from "./binaries.ts";
import { type Authority, createAuthority, type Issued } from "./certificates.ts";
import { type EtcdCluster, startEtcd } from "./etcd-cluster.ts";
import { freePorts } from "./ports.ts";
import { type RunningProcess, runOrThrow, startProcess } from "./process.ts";
import { probe, untilReady, withPortRetry } from "./ready.ts";
import { tempDir } from "./temp-dir.ts";

export interface ApiServerOptions {
  /** Added after the harness' arguments. */
  extraArgs?: string[];
  /** The etcd that holds its objects, which the caller stops. Default: one of its own. */
  etcd?: EtcdCluster;
}

export interface ApiServer extends AsyncDisposable {
  /** The etcd that holds its objects. */
  readonly etcd: EtcdCluster;
  /** Path of an administrator's kubeconfig (group system:masters). */
  readonly kubeconfigPath: string;
  readonly url: string;
  /** The certificate authority, PEM. */
  readonly ca: string;
  /** The process of the latest start. */
  readonly process: RunningProcess;
  /** Runs kubectl as the administrator or with `kubeconfig`. Returns standard output; throws on a non-zero exit code. */
  kubectl(args: string[], options?: { input?: string; kubeconfig?: string }): Promise<string>;
  /** Path of a kubeconfig with a client certificate for that user, who has only the rights that RBAC grants. */
  userKubeconfig(name: string, groups?: string[]): Promise<string>;
  /** Applies crds/*.yaml and waits until the API server serves them. */
  applyCrds(): Promise<void>;
  /** SIGSTOP: connections stay open, and the server does not answer. */
  pause(): void;
  resume(): void;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Starts it again after `kill`, on the same port and etcd. Resolves when it is ready. */
  start(): Promise<void>;
  /** SIGKILL and start. */
  restart(): Promise<void>;
}

const crds = join(import.meta.dirname, "..", "..", "crds");

/**
 * Starts a real kube-apiserver with its own etcd, TLS, client certificates and RBAC. No controllers and no nodes run:
 * Deployments and Jobs get no pods, and there is no garbage collection.
 */
export async function startApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  await using stack = new AsyncDisposableStack();
  const kubectlPath = await binary("kubectl");
  const path = await binary("kube-apiserver");
  const etcd = options.etcd ?? stack.use(await startEtcd());
  const directory = stack.use(await tempDir("kube")).path;
  const authority = await createAuthority("kubernetes test CA");
  const files = await writeFiles(directory, authority);

  let current: RunningProcess | undefined;
  const startOn = async (port: number): Promise<RunningProcess> => {
    const args = [...commandLine(port, etcd.endpoints, files), ...(options.extraArgs ?? [])];
    current = startProcess(path, args, { cwd: directory, name: "kube-apiserver" });
    const ready = { url: `https://127.0.0.1:${port}/readyz`, caPem: authority.caPem, ...files.admin };
    await untilReady("kube-apiserver", current, async () => (await probe(ready))?.status === 200);
    return current;
  };
  stack.defer(async () => current?.kill());
  const first = await withPortRetry(async () => {
    const [port = 0] = await freePorts(1);
    return { port, process: await startOn(port) };
  });
  const url = `https://127.0.0.1:${first.port}`;
  const kubeconfig = (user: string, issued: Issued): Promise<string> =>
    writeKubeconfig(directory, { url, caPem: authority.caPem, user, issued });
  const kubeconfigPath = await kubeconfig("admin", files.admin);

  let process = first.process;
  const started = stack.move();
  const server: ApiServer = {
    etcd,
    kubeconfigPath,
    url,
    ca: authority.caPem,
    get process() {
      return process;
    },
    kubectl: (args, call = {}) =>
      runOrThrow(kubectlPath, [`--kubeconfig=${call.kubeconfig ?? kubeconfigPath}`, ...args], {
        name: "kubectl",
        // By default kubectl caches the discovery data of each address in the home directory.
        env: { KUBECACHEDIR: join(directory, "kubectl-cache") },
        ...(call.input === undefined ? {} : { input: call.input }),
      }),
    userKubeconfig: async (name, groups = []) =>
      kubeconfig(name, await authority.issue({ commonName: name, organization: groups })),
    async applyCrds() {
      await server.kubectl(["apply", "--server-side", "-f", crds]);
      await server.kubectl(["wait", "--for=condition=Established", "--timeout=30s", "-f", crds]);
    },
    pause: () => process.pause(),
    resume: () => process.resume(),
    kill: () => process.kill(),
    async start() {
      process = await startOn(first.port);
    },
    async restart() {
      await process.kill();
      await server.start();
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
  return server;
}

interface Files {
  ca: string;
  servingCert: string;
  servingKey: string;
  serviceAccountKey: string;
  admin: Issued;
}

async function writeFiles(directory: string, authority: Authority): Promise<Files> {
  const file = async (name: string, content: string): Promise<string> => {
    const path = join(directory, name);
    await writeFile(path, content, { mode: 0o600 });
    return path;
  };
  const hosts = ["localhost", "127.0.0.1", "kubernetes.default.svc", "10.96.0.1"];
  const serving = await authority.issue({ commonName: "kube-apiserver", hosts });
  const signing = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  return {
    ca: await file("ca.crt", authority.caPem),
    servingCert: await file("apiserver.crt", serving.certPem),
    servingKey: await file("apiserver.key", serving.keyPem),
    serviceAccountKey: await file("sa.key", String(signing.export({ type: "sec1", format: "pem" }))),
    admin: await authority.issue({ commonName: "admin", organization: "system:masters" }),
  };
}

function commandLine(port: number, etcdEndpoints: string[], files: Files): string[] {
  return [
    `--etcd-servers=${etcdEndpoints.join(",")}`,
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    `--secure-port=${port}`,
    `--tls-cert-file=${files.servingCert}`,
    `--tls-private-key-file=${files.servingKey}`,
    `--client-ca-file=${files.ca}`,
    `--service-account-key-file=${files.serviceAccountKey}`,
    `--service-account-signing-key-file=${files.serviceAccountKey}`,
    "--service-account-issuer=https://kubernetes.default.svc",
    "--service-cluster-ip-range=10.96.0.0/16",
    "--authorization-mode=RBAC",
    "--endpoint-reconciler-type=none",
    // No controller creates default service accounts, and the plugin would refuse all pods without one.
    "--disable-admission-plugins=ServiceAccount",
  ];
}

async function writeKubeconfig(
  directory: string,
  { url, caPem, user, issued }: { url: string; caPem: string; user: string; issued: Issued },
): Promise<string> {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server: url, "certificate-authority-data": base64(caPem) } }],
    users: [
      {
        name: user,
        user: {
          "client-certificate-data": base64(issued.certPem),
          "client-key-data": base64(issued.keyPem),
        },
      },
    ],
    contexts: [{ name: "test", context: { cluster: "test", user, namespace: "default" } }],
    "current-context": "test",
  };
  const path = join(directory, `${encodeURIComponent(user)}.kubeconfig`);
  await writeFile(path, JSON.stringify(config, undefined, 2), { mode: 0o600 });
  return path;
}
