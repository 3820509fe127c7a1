import type { EtcdBackupStore, EtcdBackupStoreStatus } from "../../api/v1alpha1/etcd-backup-store.ts";
import { type Heartbeat, type WriterIdentity, newestBeat } from "../backup/claim.ts";
import { OperatorError } from "../errors.ts";

export type WriterStatus = NonNullable<EtcdBackupStoreStatus["writer"]>;

/** Random: a new writer's ID, and the nonce of a renewal. */
export interface FreshNames {
  id: string;
  nonce: string;
}

/** A writer as this process has last renewed it. `since`: when it first did so, by the store's clock. */
export interface KnownWriter extends WriterStatus {
  since: Date;
}

/** The writers that this process has renewed, by the key of the store. It outlives a term of leadership. */
export type KnownWriters = Map<string, KnownWriter>;

/**
 * The writer of a store, as its resource or this process names it. Throws NotFound, which is not permanent, before its
 * first probe.
 */
export function writerOf({ metadata, status }: EtcdBackupStore, known?: WriterStatus): WriterIdentity {
  if (status.writer !== undefined) return identityOf(newerOf(status.writer, known), metadata);
  throw new OperatorError("NotFound", `the operator has not probed EtcdBackupStore ${metadata.name} yet`, {
    permanent: false,
  });
}

export function identityOf(
  { id, renewal, nonce }: WriterStatus,
  { namespace = "default", name }: { namespace?: string; name: string },
): WriterIdentity {
  return { id, renewal, nonce, who: `EtcdBackupStore ${namespace}/${name}` };
}

/**
 * The newer of what the resource and this process know of the last renewal. The resource is older when its API server was
 * restored from a backup while this process lived: whoever renewed it is no copy.
 */
export function newerOf(recorded: WriterStatus, known: WriterStatus | undefined): WriterStatus {
  return known?.id === recorded.id && known.renewal > recorded.renewal ? statusOf(known) : recorded;
}

/** The part of a known writer that the resource names. */
export function statusOf({ id, renewal, nonce, copyOf }: WriterStatus): WriterStatus {
  return { id, renewal, nonce, ...(copyOf === undefined ? {} : { copyOf }) };
}

export function firstWriter({ id, nonce }: FreshNames): WriterStatus {
  return { id, renewal: 1, nonce };
}

/** Another process that renews the same writer: its last renewal, and since when it does so, by the store's clock. */
export interface Rival {
  renewal: number;
  since: Date;
}

/**
 * The next renewal. Of two processes that renew one writer the one that began earlier goes on: the other one's Kubernetes
 * cluster is a copy, and gets a writer of its own. `since`: when this process began; undefined before its first renewal.
 */
export function renewed(
  writer: WriterStatus,
  { rival, since }: { rival: Rival | undefined; since: Date | undefined },
  fresh: FreshNames,
): WriterStatus {
  const { id, renewal, copyOf } = writer;
  const origin = copyOf === undefined ? {} : { copyOf };
  if (rival === undefined) return { id, renewal: renewal + 1, nonce: fresh.nonce, ...origin };
  const isFirst = since !== undefined && since < rival.since;
  return isFirst
    ? { id, renewal: rival.renewal + 1, nonce: fresh.nonce, ...origin }
    : { ...firstWriter(fresh), copyOf: id };
}

/** The original of a copy: whether it still renews. Undefined for a writer that is no copy. */
export function originalOf(
  { copyOf }: WriterStatus,
  heartbeats: readonly Heartbeat[],
): { id: string; isAlive: boolean } | undefined {
  if (copyOf === undefined) return undefined;
  const beat = newestBeat(copyOf, heartbeats);
  return { id: copyOf, isAlive: beat !== undefined && beat.silentMs < beat.holdMs };
}
