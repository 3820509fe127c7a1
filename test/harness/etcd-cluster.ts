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
  /** 3.6 when not given. */
  minor?: EtcdMinor;
  /** How many members; 1 when not given. */
  members?: number;
  /** Server, client and peer certificates of one authority; clients must show one of its certificates. */
  tls?: boolean;
  /** Creates the user and the role root and turns authentication on. */
  auth?: { username: "root"; password: string };
  /** Writes are not synced to disk (3.5 and later): faster. true when not given. */
  unsafeNoFsync?: boolean;
  /** For every member, after the harness' own. */
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
  /** Standard output; throws on a non-zero exit code. Certificates and the password are added. */
  etcdctl(args: string[], options?: { input?: string | Buffer; endpoints?: string[] }): Promise<string>;
  /** etcdutl, or etcdctl for 3.4 (`snapshot status`, `snapshot restore`, `defrag` are the same there). */
  etcdutl(args: string[]): Promise<string>;
  /** Waits for an election to end, for 15 s at most. */
  leader(): Promise<EtcdMember>;
  /** Adds and starts a learner. It answers maintenance calls and serializable reads, but takes no password. */
  addLearner(): Promise<EtcdMember>;
}

/** Starts a cluster on ports and in a directory of its own; resolves when every member is healthy. */
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

/** As the options of a new cluster say, whose data is there already. */
export interface FilledOptions extends Omit<EtcdOptions, "members"> {
  members: (MemberPlace & { dataDir: string })[];
  /** false where a member cannot get healthy: it has no quorum, or an alarm. */
  wait?: boolean;
}

/** Starts members on directories that are filled; resolves when every one is healthy. The directories stay. */
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

/** The members' clients. */
async function clusterOf(
  { minor = "3.6", auth }: Shared,
  context: MemberContext,
  members: EtcdMember[],
): Promise<Omit<EtcdCluster, keyof AsyncDisposable>> {
  const ctl = {
    path: await binary("etcdctl", minor),
    // Before 3.5 etcdctl spoke the old protocol unless told.
    env: minor === "3.4" ? { ETCDCTL_API: "3" } : {},
    endpoints: members.map((member) => member.endpoint),
    tls: context.tls?.client,
  };
  const etcdctl = etcdctlOf({ ...ctl, auth });
  return {
    minor,
    endpoints: ctl.endpoints,
    members,
    ...(ctl.tls === undefined ? {} : { tls: ctl.tls }),
    etcdctl,
    async etcdutl(args) {
      const path = minor === "3.4" ? ctl.path : await binary("etcdutl", minor);
      return runOrThrow(path, args, { name: "etcdutl", env: ctl.env });
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
  env: NodeJS.ProcessEnv;
  endpoints: string[];
  tls: ClientTls | undefined;
  auth?: EtcdOptions["auth"];
}): Etcdctl {
  const { path, tls, auth } = client;
  const tlsArgs =
    tls === undefined ? [] : [`--cacert=${tls.caFile}`, `--cert=${tls.certFile}`, `--key=${tls.keyFile}`];
  const env = {
    ...client.env,
    ...(auth === undefined ? {} : { ETCDCTL_USER: `${auth.username}:${auth.password}` }),
  };
  return (args, { input, endpoints = client.endpoints } = {}) =>
    runOrThrow(path, [`--endpoints=${endpoints.join(",")}`, ...tlsArgs, ...args], {
      name: "etcdctl",
      env,
      ...(input === undefined ? {} : { input }),
    });
}

async function findLeader(members: readonly EtcdMember[], etcdctl: Etcdctl): Promise<EtcdMember> {
  const deadline = AbortSignal.timeout(15_000);
  const ask = ["--command-timeout=1s", "endpoint", "status", "-w", "json"];
  while (!deadline.aborted) {
    for (const member of members.filter(({ process }) => process.running)) {
      const status = await etcdctl(ask, { endpoints: [member.endpoint] }).catch(() => "");
      // Identities are 64-bit integers: JSON.parse would round them.
      const self = /"member_id":(\d+)/.exec(status)?.[1];
      if (self !== undefined && self === /"leader":(\d+)/.exec(status)?.[1]) return member;
    }
    await delay(100);
  }
  throw new Error("no member of the etcd cluster says that it is the leader");
}

/** etcd changes its members only when they have been connected for five seconds. */
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
