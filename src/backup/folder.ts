import {
  type ClaimWriter,
  type Heartbeat,
  type ObservedFolder,
  type WriterIdentity,
  admit,
  freeInMs,
  heldByOther,
  silenceIsDeathMs,
  takeCommand,
  whyCopy,
  whyNotDelete,
  whyNotDeleteWithoutHold,
} from "../core/backup/claim.ts";
import { OperatorError } from "../core/errors.ts";
import { duration } from "../core/human.ts";
import type { Store } from "../store/store.ts";
import { type StoredClaim, claimObject, putClaim, readClaim } from "./catalog/claim.ts";
import { newestByStoreTime } from "./catalog/latest.ts";
import { readSuccession } from "./catalog/succession.ts";
import { type ListedHeartbeat, listHeartbeats, measureSilence, storeTime } from "./catalog/writers.ts";
import { checkRevision, storedBefore } from "./older-revision.ts";

/** Whoever wants to write to a folder. */
export interface FolderUser {
  store: Pick<Store, "list" | "get" | "head" | "put" | "remove">;
  clusterName: string;
  /**
   * The writer as its resource names it now; asked after the store, since the resource announces a renewal before the
   * store holds it. Absent: a command line.
   */
  writer?: (signal: AbortSignal) => Promise<WriterIdentity>;
  now: () => Date;
}

/** The right to store a backup in a folder. */
export interface FolderEntry {
  /**
   * Throws FolderClaimed when the folder has been taken over since, or when the snapshot has an older revision than a
   * backup that the folder held before: then another etcd cluster has the same ID.
   */
  confirm(snapshot: { revision: number; mayLag: boolean }, signal: AbortSignal): Promise<void>;
}

/** Writers that change a claim at the same moment try again. Each round one of them succeeds. */
const rounds = 5;

/**
 * Enters the folder for backups of this etcd cluster, and claims it where that is needed. Throws FolderClaimed when it
 * belongs to another cluster or writer.
 */
export async function enterFolder(
  user: FolderUser,
  clusterId: string,
  signal: AbortSignal,
): Promise<FolderEntry> {
  const { clusterName, store, now } = user;
  for (let round = 1; round <= rounds; round++) {
    const { folder, writer } = await observe(user, clusterId, signal);
    const admission = admit(folder, { clusterName, clusterId, writer, now: now() });
    switch (admission.is) {
      case "refused":
        throw admission.error;
      case "entered":
        return entryOf(user, folder.claim, signal);
      case "claim": {
        const claim = await putClaim(store, clusterName, admission.next, signal);
        if (claim !== undefined) return entryOf(user, claim, signal);
        break;
      }
      default:
        admission satisfies never;
    }
  }
  throw new OperatorError(
    "FolderClaimed",
    `several writers want the folder ${clusterName} at the same time`,
    {
      permanent: false,
      hint: "give each etcd cluster a cluster name of its own",
    },
  );
}

async function entryOf(
  user: FolderUser,
  entered: StoredClaim | undefined,
  entering: AbortSignal,
): Promise<FolderEntry> {
  const { store, clusterName } = user;
  const folder = { store, clusterName, entered };
  const before = await storedBefore(folder, user.now(), entering);
  return {
    async confirm({ revision, mayLag }, signal) {
      if (!mayLag) await checkRevision(folder, { before, revision }, signal);
      const claim = await readClaim(store, clusterName, signal);
      const { heartbeats, writer } = await observeWriters(user, undefined, signal);
      const copy = writer === undefined ? undefined : whyCopy(writer, heartbeats);
      if (copy !== undefined) throw copy;
      if (claim !== undefined && entered !== undefined && isSameHold(user, claim, entered)) return;
      throw new OperatorError(
        "FolderClaimed",
        `the folder ${clusterName} was taken over during the backup: ${claim?.reason ?? "its claim is gone"}`,
        { permanent: false, hint: `see etcd-backup claim show --cluster-name ${clusterName}` },
      );
    },
  };
}

/** A command line needs no hold, so its backup stays valid when only the writer changes. */
function isSameHold({ writer }: FolderUser, now: StoredClaim, entered: StoredClaim): boolean {
  const isSameCluster = now.lineage.at(-1)?.id === entered.lineage.at(-1)?.id;
  return writer === undefined ? isSameCluster : now.nonce === entered.nonce;
}

interface Observed {
  folder: ObservedFolder & { claim: StoredClaim | undefined };
  writer: WriterIdentity | undefined;
}

/** Reads what the decision needs, and what only a dispute needs only in a dispute. */
async function observe(user: FolderUser, clusterId: string, signal: AbortSignal): Promise<Observed> {
  const { store, clusterName } = user;
  const claim = await readClaim(store, clusterName, signal);
  const current = claim?.lineage.at(-1)?.id;
  // A command line needs no hold for backups of the present cluster.
  const holder = user.writer === undefined && current === clusterId ? undefined : claim?.writer;
  const { heartbeats, writer } = await observeWriters(user, holder, signal);
  if (current === clusterId) return { folder: { claim, heartbeats }, writer };
  const newest = await newestByStoreTime(store, clusterName, signal);
  const newestId = newest?.manifest.cluster.id;
  const unclaimed = claim === undefined && newestId !== undefined ? { unclaimedBackupsOf: newestId } : {};
  const found =
    current === undefined && newestId === undefined
      ? undefined
      : await readSuccession(store, { clusterName, id: clusterId }, signal);
  const succession =
    found === undefined
      ? {}
      : {
          succession: found.succession,
          isPredecessorInUse:
            newest !== undefined && newestId === (current ?? newestId) && newest.modified > found.recorded,
        };
  return { folder: { claim, heartbeats, ...unclaimed, ...succession }, writer };
}

/**
 * The writers that matter to the claim: its holder, and the asking one. The silence of the holder is measured only when
 * it is another one: that needs the store's clock, and so an object that is put for it.
 */
async function observeWriters(
  user: Pick<FolderUser, "store" | "writer">,
  holder: ClaimWriter | undefined,
  signal: AbortSignal,
): Promise<{ heartbeats: Heartbeat[]; writer: WriterIdentity | undefined }> {
  const { store } = user;
  if (user.writer === undefined && holder === undefined) return { heartbeats: [], writer: undefined };
  const listed = await listHeartbeats(store, signal);
  const writer = await user.writer?.(signal);
  const own = listed.filter(({ id }) => id === writer?.id).map(withoutSilence);
  const ofHolder = listed.filter(({ id }) => id === holder?.id);
  if (holder === undefined || holder.id === writer?.id || ofHolder.length === 0)
    return { heartbeats: own, writer };
  const now = await storeTime(store, signal);
  return { heartbeats: [...own, ...(await measureSilence(store, ofHolder, now, signal))], writer };
}

function withoutSilence({ id, renewal, nonce }: ListedHeartbeat): Heartbeat {
  return { id, renewal, nonce, silentMs: 0, holdMs: Number.POSITIVE_INFINITY };
}

/**
 * Why this writer may write nothing to the folder, whatever etcd cluster it backs up: another writer holds it. Undefined
 * when it may.
 */
export async function whyNotWrite(
  user: FolderUser,
  signal: AbortSignal,
): Promise<{ error: OperatorError; freeInMs: number } | undefined> {
  const { store, clusterName } = user;
  const claim = await readClaim(store, clusterName, signal);
  const { heartbeats, writer } = await observeWriters(user, claim?.writer, signal);
  const copy = writer === undefined ? undefined : whyCopy(writer, heartbeats);
  const error = copy ?? heldByOther(claim, { clusterName, writer, heartbeats });
  return error && { error, freeInMs: copy === undefined ? freeInMs(claim, heartbeats) : 30_000 };
}

/** A writer that wants to delete in a folder. */
export type FolderOwner = Pick<FolderUser, "clusterName"> & {
  store: FolderUser["store"];
  writer: NonNullable<FolderUser["writer"]>;
};

/**
 * Throws FolderClaimed unless this writer may delete objects in the folder. `manifest`: of the stored backup that is to
 * be deleted.
 */
export async function checkMayDelete(
  user: FolderOwner,
  signal: AbortSignal,
  manifest?: string,
): Promise<void> {
  const { store, clusterName } = user;
  const claim = await readClaim(store, clusterName, signal);
  const heartbeats = await listHeartbeats(store, signal);
  const writer = await user.writer(signal);
  const error = whyNotDelete({ claim, heartbeats }, { clusterName, writer });
  if (error !== undefined) throw error;
  if (claim?.writer?.bySilence === true && manifest !== undefined)
    await checkOwnSince(user, { claim, writer, manifest }, signal);
}

/** Throws FolderClaimed unless a command line may delete objects in the folder, which it does not hold. */
export async function checkMayDeleteWithoutHold(
  { store, clusterName }: { store: Pick<Store, "list" | "get">; clusterName: string },
  signal: AbortSignal,
): Promise<void> {
  const error = whyNotDeleteWithoutHold(await readClaim(store, clusterName, signal), clusterName);
  if (error !== undefined) throw error;
}

/** Throws FolderClaimed for a backup of the writer that was silent when this one took the folder. All by the store's clock. */
async function checkOwnSince(
  { store, clusterName }: FolderOwner,
  { claim, writer, manifest }: { claim: StoredClaim; writer: WriterIdentity; manifest: string },
  signal: AbortSignal,
): Promise<void> {
  const taken = (await store.head(claimObject(clusterName, claim.number), { signal }))?.modified;
  const stored = (await store.head(manifest, { signal }))?.modified;
  if (taken === undefined || stored === undefined || stored >= taken) return;
  const heldMs = (await storeTime(store, signal)).getTime() - taken.getTime();
  if (heldMs >= silenceIsDeathMs) return;
  throw new OperatorError(
    "FolderClaimed",
    `the backup was stored before this operator took the folder ${clusterName} from another one that was silent and may return; it may be deleted ${duration(silenceIsDeathMs)} after that`,
    {
      permanent: false,
      hint: `if the other one is gone for good: ${takeCommand(clusterName, claim.lineage.at(-1)?.id, writer.id)}`,
    },
  );
}

/** Whether this writer may delete objects in the folder. Throws when the store does not say. */
export async function mayDelete(user: FolderOwner, signal: AbortSignal): Promise<boolean> {
  try {
    await checkMayDelete(user, signal);
    return true;
  } catch (error) {
    if (error instanceof OperatorError && error.code === "FolderClaimed") return false;
    throw error;
  }
}
