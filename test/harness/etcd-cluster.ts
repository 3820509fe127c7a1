import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { binary, type EtcdMinor } from "./binaries.ts";
import { createAuthority } from "./certificates.ts";
import { type EtcdMember, etcdMember, type MemberContext, type MemberPlace } from "./etcd-member.ts";
import { runOrThrow } from "./process.ts";
import { freePorts } from "./ports.ts";
import { withPortRetry } from "./ready.ts";
import { tempDir } from "./temp-dir.ts";

export type { EtcdMember } from "./etcd-member.ts";

export interface EtcdOptions {
  /** Default: 3.6. */
  minor?: EtcdMinor;
  /** Number of members; default: 1. */
  members?: number;
  /** Use server, client and peer certificates of one authority; clients need one of its certificates. */
  tls?: boolean;
  /** Create the user and the role root, and turn authentication on. */
  auth?: { username: "root"; password: string };
  /** Do not sync writes to disk, which is faster (3.5 and later). Default: true. */
  unsafeNoFsync?: boolean;
  /** Added after the harness' arguments, for every member. */
  extraArgs?: string[];
}

export interface ClientTls {
  caFile: string;
  certFile: string;
  keyFile: string;
  caPem: string;
  certPem: string;
  keyPem: string;
}

export interface EtcdCluster extends AsyncDisposable {
  readonly minor: EtcdMinor;
  /** Client URLs of the voting members. */
  readonly endpoints: string[];
  /** Voting members, then learners. */
  readonly members: EtcdMember[];
  readonly tls?: ClientTls;
  /** Runs etcdctl with the certificates and the password. Returns standard output; throws on a non-zero exit code. */
  etcdctl(args: string[], options?: { input?: string | Buffer; endpoints?: string[] }): Promise<string>;
  /** Runs etcdutl, or for 3.4 etcdctl, which has the same `snapshot status`, `snapshot restore` and `defrag`. */
  etcdutl(args: string[]): Promise<string>;
  /** The leader. Waits at most 15 s for the end of an election. */
  leader(): Promise<EtcdMember>;
  /** Adds and starts a learner. It answers maintenance calls and serializable reads, but accepts no password. */
  addLearner(): Promise<EtcdMember>;
}

/** Starts a cluster on free ports, with a temporary directory. Resolves when every member is healthy. */
export async function startEtcd(options: EtcdOptions = {}): Promise<EtcdCluster> {
  return withPortRetry(() => startOnFreshPorts(options));
}

async function startOnFreshPorts(options: EtcdOptions): Promise<EtcdCluster> {
  await using stack = new AsyncDisposableStack();
  const count = options.members ?? 1;
  const context = await contextOf(options, stack.use(await tempDir("etcd")).path);
  const ports = await freePorts(2 * count);
  const members: EtcdMember[] = [];
  stack.defer(async () => void (await Promise.all(members.map((member) => member.kill()))));
  for (let index = 0; index < count; index += 1) {
    const [clientPort = 0, peerPort = 0] = ports.slice(2 * index);
    members.push(etcdMember(context, { name: `m${index}`, clientPort, peerPort }));
  }
  await Promise.all(members.map((member) => member.join(initialCluster(members), "new")));
  const { auth, ...withoutAuth } = options;
  if (auth !== undefined) await enableAuth((await clusterOf(withoutAuth, context, members)).etcdctl, auth);
  const cluster = await clusterOf(options, context, members);
  const started = stack.move();
  return { ...cluster, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

/** Options of a cluster whose data directories already exist. */
export interface FilledOptions extends Omit<EtcdOptions, "members"> {
  members: (MemberPlace & { dataDir: string })[];
  /** Set false if a member cannot become healthy: without a quorum, or with an alarm. */
  wait?: boolean;
}

/** Starts members on existing data directories, and keeps these afterwards. Resolves when every member is healthy. */
export async function startFilled(options: FilledOptions): Promise<EtcdCluster> {
  await using stack = new AsyncDisposableStack();
  const context = await contextOf(options, stack.use(await tempDir("etcd")).path);
  const members = options.members.map((place) => etcdMember(context, place));
  stack.defer(async () => void (await Promise.all(members.map((member) => member.kill()))));
  await Promise.all(members.map((member) => member.start({ wait: options.wait !== false })));
  const cluster = await clusterOf(options, context, members);
  const started = stack.move();
  return { ...cluster, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

type Shared = Omit<EtcdOptions, "members">;

async function contextOf(options: Shared, directory: string): Promise<MemberContext> {
  const { minor = "3.6" } = options;
  return {
    executable: await binary("etcd", minor),
    directory,
    extraArgs: [
      "--quota-backend-bytes=8589934592",
      ...(minor !== "3.4" && options.unsafeNoFsync !== false ? ["--unsafe-no-fsync"] : []),
      ...(options.extraArgs ?? []),
    ],
    ...(options.tls === true ? { tls: await createTls(directory) } : {}),
  };
}

/** The cluster's clients: etcdctl and etcdutl. */
async function clusterOf(
  { minor = "3.6", auth }: Shared,
  context: MemberContext,
  members: EtcdMember[],
): Promise<Omit<EtcdCluster, keyof AsyncDisposable>> {
  const client = {
    path: await binary("etcdctl", minor),
    endpoints: members.map((member) => member.endpoint),
    tls: context.tls?.client,
  };
  const etcdctl = etcdctlOf({ ...client, auth });
  return {
    minor,
    endpoints: client.endpoints,
    members,
    ...(client.tls === undefined ? {} : { tls: client.tls }),
    etcdctl,
    async etcdutl(args) {
      const path = minor === "3.4" ? client.path : await binary("etcdutl", minor);
      return runOrThrow(path, args, { name: "etcdutl" });
    },
    leader: () => findLeader(members, etcdctl),
    async addLearner() {
      const [clientPort = 0, peerPort = 0] = await freePorts(2);
      const learner = etcdMember(context, { name: `m${members.length}`, clientPort, peerPort });
      const add = ["member", "add", learner.name, "--learner", `--peer-urls=${learner.peerUrl}`];
      await untilAccepted(() => etcdctl(add));
      members.push(learner);
      await learner.join(initialCluster(members), "existing");
      return learner;
    },
  };
}

function initialCluster(members: readonly EtcdMember[]): string {
  return members.map((member) => `${member.name}=${member.peerUrl}`).join(",");
}

type Etcdctl = EtcdCluster["etcdctl"];

function etcdctlOf(client: {
  path: string;
  endpoints: string[];
  tls: ClientTls | undefined;
  auth?: EtcdOptions["auth"];
}): Etcdctl {
  const { path, tls, auth } = client;
  const tlsArgs =
    tls === undefined ? [] : [`--cacert=${tls.caFile}`, `--cert=${tls.certFile}`, `--key=${tls.keyFile}`];
  const env = auth === undefined ? {} : { ETCDCTL_USER: `${auth.username}:${auth.password}` };
  return (args, { input, endpoints = client.endpoints } = {}) =>
    runOrThrow(path, [`--endpoints=${endpoints.join(",")}`, ...tlsArgs, ...args], {
      name: "etcdctl",
      env,
      ...(input === undefined ? {} : { input }),
    });
}

async function findLeader(members: readonly EtcdMember[], etcdctl: Etcdctl): Promise<EtcdMember> {
  const deadline = AbortSignal.timeout(15_000);
  const statusArgs = ["--command-timeout=1s", "endpoint", "status", "-w", "json"];
  while (!deadline.aborted) {
    for (const member of members.filter(({ process }) => process.running)) {
      const status = await etcdctl(statusArgs, { endpoints: [member.endpoint] }).catch(() => "");
      // Member IDs are 64-bit integers, which JSON.parse would round.
      const self = /"member_id":(\d+)/.exec(status)?.[1];
      if (self !== undefined && self === /"leader":(\d+)/.exec(status)?.[1]) return member;
    }
    await delay(100);
  }
  throw new Error("no member of the etcd cluster reports that it is the leader");
}

/** Retries a membership change: etcd refuses one until the members have been connected for five seconds. */
async function untilAccepted(change: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await change();
      return;
    } catch (error) {
      if (attempt === 40 || !String(error).includes("unhealthy cluster")) throw error;
      await delay(250);
    }
  }
}

async function enableAuth(etcdctl: Etcdctl, auth: NonNullable<EtcdOptions["auth"]>): Promise<void> {
  await etcdctl(["user", "add", `${auth.username}:${auth.password}`]);
  await etcdctl(["role", "add", "root"]);
  await etcdctl(["user", "grant-role", auth.username, "root"]);
  await etcdctl(["auth", "enable"]);
}

async function createTls(directory: string): Promise<NonNullable<MemberContext["tls"]>> {
  const authority = await createAuthority("etcd test CA");
  const hosts = ["localhost", "127.0.0.1"];
  const file = async (name: string, content: string): Promise<string> => {
    const path = join(directory, name);
    await writeFile(path, content, { mode: 0o600 });
    return path;
  };
  const server = await authority.issue({ commonName: "etcd", hosts });
  const client = await authority.issue({ commonName: "client", hosts: [] });
  return {
    serverCertFile: await file("server.crt", server.certPem),
    serverKeyFile: await file("server.key", server.keyPem),
    client: {
      caFile: await file("ca.crt", authority.caPem),
      certFile: await file("client.crt", client.certPem),
      keyFile: await file("client.key", client.keyPem),
      caPem: authority.caPem,
      ...client,
    },
  };
}
