import { rootCertificates } from "node:tls";
import { type CallOptions, InterceptingCall, type Interceptor, ListenerBuilder, status } from "@grpc/grpc-js";
import { noop } from "cockatiel";
import {
  AuthClient,
  ClusterClient,
  type IHashKVResponse,
  type IOptions,
  KVClient,
  MaintenanceClient,
} from "etcd3";
import { ConnectionPool } from "etcd3/lib/connection-pool.js";
import { classify, isInvalidToken, unusableTls } from "./errors.ts";
import { type SnapshotStream, openSnapshotStream } from "./snapshot-stream.ts";

/** How to reach the members of one cluster. PEM texts; `auth` is etcd's user and password. */
export interface EtcdAccess {
  tls?: { ca?: Buffer; cert?: Buffer; key?: Buffer; serverName?: string };
  auth?: { username: string; password: string };
  /** For each unary call, in milliseconds. */
  timeoutMs: number;
}

export interface EndpointStatus {
  clusterId: string;
  memberId: string;
  revision: number;
  version: string;
  dbSize: number;
  dbSizeInUse: number;
  leader: string;
  raftTerm: number;
  raftIndex: number;
  raftAppliedIndex: number;
  isLearner: boolean;
  alarms: { memberId: string; alarm: string }[];
}

export interface ListedMember {
  id: string;
  name: string;
  clientURLs: string[];
  peerURLs: string[];
  isLearner: boolean;
}

export interface HashKV {
  hash: number;
  compactRevision: number;
}

/** One etcd endpoint over one connection. Every failure is an OperatorError that names the endpoint. */
export interface EtcdEndpoint extends AsyncDisposable {
  readonly url: string;
  status(signal: AbortSignal): Promise<EndpointStatus>;
  members(signal: AbortSignal): Promise<ListedMember[]>;
  /** Blocks the member's write-back while it scans all keys, so ask one member at a time. 0 means the current revision. */
  hashKV(revision: number, options: { signal: AbortSignal; timeoutMs: number }): Promise<HashKV>;
  snapshot(signal: AbortSignal): Promise<SnapshotStream>;
  /** User keys as of a revision that is not compacted. With authentication it needs the root role. */
  countKeys(revision: number, signal: AbortSignal): Promise<number>;
  /** Lowers one alarm, in the whole cluster. The member may be one that is long gone. */
  disarm(alarm: { memberId: string; alarm: string }, signal: AbortSignal): Promise<void>;
}

/** Milliseconds: the whole index is walked. */
const countTimeoutMs = 60_000;

/** Opens no connection yet: the first call does. */
export function openEndpoint(url: string, access: EtcdAccess): EtcdEndpoint {
  const pool = openPool(url, access);
  const maintenance = new MaintenanceClient(pool);
  const cluster = new ClusterClient(pool);
  const keys = new KVClient(pool);
  const token =
    access.auth === undefined
      ? undefined
      : tokenKeeper(new AuthClient(pool), url, access.auth, access.timeoutMs);

  async function call<T>(
    doing: string,
    timeoutMs: number,
    signal: AbortSignal,
    invoke: (options: CallOptions) => Promise<T>,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      signal.throwIfAborted();
      try {
        const held = await token?.get(signal);
        return await invoke({ deadline: Date.now() + timeoutMs, interceptors: [withToken(held, signal)] });
      } catch (error) {
        signal.throwIfAborted();
        if (token === undefined || attempt > 1 || !isInvalidToken(error))
          throw classify(error, { operation: doing, endpoint: url });
        token.forget();
      }
    }
  }

  return {
    url,
    async status(signal) {
      const answer = await call("status", access.timeoutMs, signal, (options) => maintenance.status(options));
      return {
        clusterId: hex(answer.header.cluster_id),
        memberId: hex(answer.header.member_id),
        revision: Number(answer.header.revision),
        version: answer.version,
        dbSize: Number(answer.dbSize),
        dbSizeInUse: Number(answer.dbSizeInUse),
        leader: hex(answer.leader),
        raftTerm: Number(answer.raftTerm),
        raftIndex: Number(answer.raftIndex),
        raftAppliedIndex: Number(answer.raftAppliedIndex),
        isLearner: answer.isLearner,
        alarms: answer.errors.flatMap(parseAlarm),
      };
    },
    async members(signal) {
      const answer = await call("member list", access.timeoutMs, signal, (options) =>
        cluster.memberList({}, options),
      );
      return answer.members.map((m) => ({
        id: hex(m.ID),
        name: m.name,
        clientURLs: m.clientURLs,
        peerURLs: m.peerURLs,
        isLearner: m.isLearner,
      }));
    },
    async hashKV(revision, { signal, timeoutMs }) {
      const answer = await call("HashKV", timeoutMs, signal, (options) =>
        // MaintenanceClient.hashKV asks for a method of another spelling, which the loaded service does not have.
        pool.exec<IHashKVResponse>("Maintenance", "HashKV", { revision }, options),
      );
      return {
        hash: Number(answer.hash),
        compactRevision: Number(answer.compact_revision),
      };
    },
    async snapshot(signal) {
      for (let attempt = 1; ; attempt++) {
        signal.throwIfAborted();
        const held = await token?.get(signal);
        const start = () => maintenance.snapshot({ interceptors: [withToken(held)] });
        try {
          return await openSnapshotStream(start, { endpoint: url, signal });
        } catch (error) {
          if (token === undefined || attempt > 1 || !isInvalidToken(error)) throw error;
          token.forget();
        }
      }
    },
    async countKeys(revision, signal) {
      const all = Buffer.from([0]);
      const request = { key: all, range_end: all, count_only: true, revision };
      const answer = await call("range", countTimeoutMs, signal, (options) => keys.range(request, options));
      return Number(answer.count);
    },
    async disarm({ memberId, alarm }, signal) {
      // Enumerators are told by their protocol names, in capitals: etcd3's types have others.
      const request = { action: "DEACTIVATE", memberID: BigInt(`0x${memberId}`).toString(), alarm };
      await call("alarm", access.timeoutMs, signal, (options) =>
        pool.exec("Maintenance", "alarm", request, options),
      );
    },
    async [Symbol.asyncDispose]() {
      pool.close();
    },
  };
}

function openPool(url: string, access: EtcdAccess): ConnectionPool {
  try {
    return new ConnectionPool(poolOptions(url, access));
  } catch (error) {
    throw unusableTls(error);
  }
}

function poolOptions(url: string, { tls }: EtcdAccess): IOptions {
  const https = url.startsWith("https:");
  return {
    hosts: url,
    ...(https && (tls?.ca !== undefined || tls?.cert !== undefined)
      ? { credentials: credentialsOf(tls) }
      : {}),
    grpcOptions: {
      // The default window of 64 KiB holds the snapshot stream to a fifth of what the member can send. This one carries
      // 1 Gbit/s over a round trip of 16 ms; a larger one costs several times its size in memory.
      "grpc-node.flow_control_window": 2 * 1024 * 1024,
      "grpc.max_receive_message_length": -1,
      "grpc.enable_http_proxy": 0,
      // Channels of equal options share a connection: another's that has just failed would refuse this one unasked.
      "etcd-backup.connection": Symbol(url),
      // A connection that was refused once must be tried again within a member's restart.
      "grpc.initial_reconnect_backoff_ms": 200,
      "grpc.max_reconnect_backoff_ms": 2000,
      ...(https && tls?.serverName !== undefined
        ? { "grpc.ssl_target_name_override": tls.serverName, "grpc.default_authority": tls.serverName }
        : {}),
    },
    // Retries belong to whoever knows what is being done: etcd3's own would hide which attempt failed.
    faultHandling: { host: () => noop, global: noop },
  };
}

/** A client certificate is shown whoever signed the members': without a CA they are held to the roots Node trusts. */
function credentialsOf({
  ca,
  cert,
  key,
}: NonNullable<EtcdAccess["tls"]>): NonNullable<IOptions["credentials"]> {
  return {
    rootCertificate: ca ?? Buffer.from(rootCertificates.join("\n")),
    ...(key === undefined ? {} : { privateKey: key }),
    ...(cert === undefined ? {} : { certChain: cert }),
  };
}

interface TokenKeeper {
  get(signal: AbortSignal): Promise<string>;
  forget(): void;
}

/** etcd3's own authenticator ignores channel options and leaves out the snapshot stream, so the token is kept here. */
function tokenKeeper(
  client: AuthClient,
  url: string,
  auth: NonNullable<EtcdAccess["auth"]>,
  timeoutMs: number,
): TokenKeeper {
  let held: Promise<string> | undefined;
  return {
    get(signal) {
      held ??= client
        .authenticate(
          { name: auth.username, password: auth.password },
          { deadline: Date.now() + timeoutMs, interceptors: [withToken(undefined, signal)] },
        )
        .then(
          (answer) => answer.token,
          (error: unknown) => {
            held = undefined;
            throw classify(error, { operation: "authentication", endpoint: url });
          },
        );
      return held;
    },
    forget() {
      held = undefined;
    },
  };
}

/** Adds the auth token, and cancels the call when the signal fires. */
function withToken(token: string | undefined, signal?: AbortSignal): Interceptor {
  return (options, nextCall) => {
    const call = new InterceptingCall(nextCall(options), {
      start(metadata, _listener, next) {
        if (token !== undefined) metadata.set("token", token);
        const stop = () => call.cancelWithStatus(status.CANCELLED, "stopped");
        if (signal?.aborted === true) stop();
        signal?.addEventListener("abort", stop, { once: true });
        const listener = new ListenerBuilder()
          .withOnReceiveStatus((received, forward) => {
            signal?.removeEventListener("abort", stop);
            forward(received);
          })
          .build();
        next(metadata, listener);
      },
    });
    return call;
  };
}

function hex(id: string): string {
  return BigInt(id).toString(16);
}

/** Status lists alarms as text among its errors: `memberID:10501334649042878790 alarm:NOSPACE `. */
function parseAlarm(text: string): { memberId: string; alarm: string }[] {
  const match = /^(?:memberID:(\d+) )?alarm:([A-Z]+)/.exec(text);
  return match === null ? [] : [{ memberId: hex(match[1] ?? "0"), alarm: match[2] ?? "" }];
}
