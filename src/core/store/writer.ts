import type { EtcdBackupStore, EtcdBackupStoreStatus } from "../../api/v1alpha1/etcd-backup-store.ts";
import { type Heartbeat, type WriterIdentity, isCopy, newestBeat } from "../backup/claim.ts";
import { OperatorError } from "../errors.ts";

export type WriterStatus = NonNullable<EtcdBackupStoreStatus["writer"]>;

/** Random: a new writer's ID, and the nonce of a renewal. */
export interface FreshNames {
  id: string;
  nonce: string;
}

/** The writers that this process has last renewed, by the key of the store. It outlives a term of leadership. */
export type KnownWriters = Map<string, WriterStatus>;

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
  return known?.id === recorded.id && known.renewal > recorded.renewal ? known : recorded;
}

export function firstWriter({ id, nonce }: FreshNames): WriterStatus {
  return { id, renewal: 1, nonce };
}

/**
 * The next renewal. A writer that somebody else renews belongs to that one: this Kubernetes cluster is a copy, made
 * before the other's last renewal, and gets a writer of its own.
 */
export function renewed(
  writer: WriterStatus,
  heartbeats: readonly Heartbeat[],
  fresh: FreshNames,
): WriterStatus {
  return isCopy({ ...writer, who: "" }, heartbeats)
    ? { ...firstWriter(fresh), copyOf: writer.id }
    : { ...writer, renewal: writer.renewal + 1, nonce: fresh.nonce };
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
