import type { CallOptions } from "@grpc/grpc-js";
import { AuthClient, ClusterClient, type IHashKVResponse, KVClient, MaintenanceClient } from "etcd3";
import type { ConnectionPool } from "etcd3/lib/connection-pool.js";
import {
  type EndpointStatus,
  endpointStatus,
  type HashKV,
  hashKV,
  type ListedMember,
  listedMembers,
} from "./answers.ts";
import { createTokenKeeper, type EtcdUser, type TokenKeeper, withToken } from "./auth-token.ts";
import { callInterceptor } from "./call-interceptor.ts";
import { type EtcdTls, openPool } from "./connection-pool.ts";
import { classify, isRefusedByAuthorization } from "./errors.ts";
import { openSnapshotStream, type SnapshotStream } from "./snapshot-stream.ts";

/** How to reach the members of one cluster. */
export interface EtcdAccess {
  tls?: EtcdTls;
  auth?: EtcdUser;
  /** For each unary call, in milliseconds. */
  timeoutMs: number;
  /** Throws for a URL that may not be connected to. Asked before each call. */
  checkUrl?: (url: string, signal: AbortSignal) => Promise<void>;
}

/** One etcd endpoint over one connection. Every failure is an OperatorError that names the endpoint. */
export interface EtcdEndpoint extends AsyncDisposable {
  readonly url: string;
  status(signal: AbortSignal): Promise<EndpointStatus>;
  members(signal: AbortSignal): Promise<ListedMember[]>;
  /**
   * Revision 0 is the current one. The member scans all keys and does not write back meanwhile: ask one member at a
   * time.
   */
  hashKV(revision: number, options: { signal: AbortSignal; timeoutMs: number }): Promise<HashKV>;
  /**
   * Makes a linearizable read. etcd answers it only after the leader has confirmed with a quorum that it leads, and
   * after this member has applied what was committed until then (etcdserver/v3_server.go, linearizableReadNotify).
   * Permissions are checked after that: a user without any, and no user, are refused with a quorum and time out without
   * one (3.4, 3.5 and 3.6), so the refusal proves the same. Throws when the read is not answered.
   */
  confirmQuorum(signal: AbortSignal): Promise<void>;
  snapshot(signal: AbortSignal): Promise<SnapshotStream>;
  /** User keys as of a revision that is not compacted. With authentication it needs the root role. */
  countKeys(revision: number, signal: AbortSignal): Promise<number>;
  /** Disarms one alarm in the whole cluster. Its member may have been removed since. */
  disarm(alarm: { memberId: string; alarm: string }, signal: AbortSignal): Promise<void>;
}

/** Milliseconds for a count, which walks the whole key index. */
const countTimeoutMs = 60_000;

/** Reads no value. The key does not exist in most clusters, which does not matter. */
const oneKey = { key: Buffer.from([0]), limit: 1, keys_only: true, serializable: false };

/** Does not connect: the first call does. */
export function openEndpoint(url: string, access: EtcdAccess): EtcdEndpoint {
  const pool = openPool(url, access.tls);
  const { timeoutMs } = access;
  const maintenance = new MaintenanceClient(pool);
  const keeper =
    access.auth === undefined
      ? undefined
      : createTokenKeeper(new AuthClient(pool), { endpoint: url, user: access.auth, timeoutMs });
  const checkUrl = async (signal: AbortSignal) => access.checkUrl?.(url, signal);
  const call = unaryCaller(url, keeper, checkUrl);

  return {
    url,
    status: async (signal) =>
      endpointStatus(await call("status", { signal, timeoutMs }, (options) => maintenance.status(options))),
    async members(signal) {
      const cluster = new ClusterClient(pool);
      return listedMembers(
        await call("member list", { signal, timeoutMs }, (options) => cluster.memberList({}, options)),
      );
    },
    hashKV: async (revision, limits) =>
      hashKV(await call("HashKV", limits, (options) => askHashKV(pool, revision, options))),
    async confirmQuorum(signal) {
      const keys = new KVClient(pool);
      await call("linearizable read", { signal, timeoutMs }, (options) =>
        keys.range(oneKey, options).catch((error: unknown) => {
          if (!isRefusedByAuthorization(error)) throw error;
        }),
      );
    },
    async snapshot(signal) {
      await checkUrl(signal);
      return withToken(keeper, signal, (token) =>
        openSnapshotStream(() => maintenance.snapshot({ interceptors: [callInterceptor(token)] }), {
          endpoint: url,
          signal,
        }),
      );
    },
    async countKeys(revision, signal) {
      const keys = new KVClient(pool);
      const all = Buffer.from([0]);
      const request = { key: all, range_end: all, count_only: true, revision };
      const limits = { signal, timeoutMs: countTimeoutMs };
      return Number((await call("range", limits, (options) => keys.range(request, options))).count);
    },
    async disarm(alarm, signal) {
      await call("alarm", { signal, timeoutMs }, (options) => askDisarm(pool, alarm, options));
    },
    async [Symbol.asyncDispose]() {
      pool.close();
    },
  };
}

interface Limits {
  signal: AbortSignal;
  timeoutMs: number;
}

/** Makes unary calls with deadline, token and cancellation. Throws OperatorError, or the reason of the signal. */
function unaryCaller(
  endpoint: string,
  keeper: TokenKeeper | undefined,
  checkUrl: (signal: AbortSignal) => Promise<void>,
) {
  return async <T>(
    operation: string,
    { signal, timeoutMs }: Limits,
    invoke: (options: CallOptions) => Promise<T>,
  ): Promise<T> => {
    try {
      await checkUrl(AbortSignal.any([signal, AbortSignal.timeout(Math.ceil(timeoutMs))]));
      return await withToken(keeper, signal, (token) =>
        invoke({ deadline: Date.now() + timeoutMs, interceptors: [callInterceptor(token, signal)] }),
      );
    } catch (error) {
      signal.throwIfAborted();
      throw classify(error, { operation, endpoint });
    }
  };
}

/** MaintenanceClient.hashKV names the method `hashKV`, which the loaded service does not have. */
function askHashKV(pool: ConnectionPool, revision: number, options: CallOptions): Promise<IHashKVResponse> {
  return pool.exec<IHashKVResponse>("Maintenance", "HashKV", { revision }, options);
}

/** The enumerators are sent by their names in the protocol, in capitals; etcd3's types have others. */
function askDisarm(
  pool: ConnectionPool,
  { memberId, alarm }: { memberId: string; alarm: string },
  options: CallOptions,
): Promise<unknown> {
  const memberID = BigInt(`0x${memberId}`).toString();
  return pool.exec("Maintenance", "alarm", { action: "DEACTIVATE", memberID, alarm }, options);
}
