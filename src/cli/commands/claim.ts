import { type StoredClaim, putClaim, readClaim, readClaimToReplace } from "../../backup/catalog/claim.ts";
import { type ListedHeartbeat, listHeartbeats } from "../../backup/catalog/writers.ts";
import { takenByHand } from "../../core/backup/claim.ts";
import { OperatorError } from "../../core/errors.ts";
import { age } from "../../core/human.ts";
import { openCluster } from "../../etcd/cluster.ts";
import type { Store } from "../../store/store.ts";
import { openStore } from "../../store/open.ts";
import type { Context, GlobalFlags } from "../context.ts";
import {
  type EtcdAccessFlags,
  type OutputFormat,
  type StoreFlags,
  accessOf,
  clusterNameOf,
  endpointsOf,
  storeOf,
} from "../flags.ts";
import { print } from "../output.ts";
import { table } from "../table.ts";
import { usage } from "../usage.ts";

interface ClaimFlags extends GlobalFlags, StoreFlags {
  output: OutputFormat;
}

export interface TakeFlags extends ClaimFlags, EtcdAccessFlags {
  etcdClusterId?: string;
  writer?: string;
}

/** `etcd-backup claim show`: to which etcd cluster and which writer a cluster's folder belongs. */
export async function showClaim(flags: ClaimFlags, context: Context): Promise<void> {
  const clusterName = clusterNameOf(flags);
  await using store = await openStore(storeOf(flags), { env: context.env });
  const claim = await readClaim(store, clusterName, context.signal);
  if (claim === undefined)
    throw new OperatorError("NotFound", `${store.url} has no claim of the folder ${clusterName}`, {
      hint: "the first backup of a cluster claims its folder; see etcd-backup list",
    });
  await printClaim(store, { clusterName, claim }, flags, context);
}

/**
 * `etcd-backup claim take`: gives the folder to an etcd cluster, for a person who knows what no program can: which of two
 * clusters is the right one. Nobody's backups are changed or deleted.
 */
export async function takeClaim(flags: TakeFlags, context: Context): Promise<void> {
  const { signal, now } = context;
  const clusterName = clusterNameOf(flags);
  const id = await clusterIdOf(flags, context);
  await using store = await openStore(storeOf(flags), { env: context.env });
  const before = await readClaimToReplace(store, clusterName, signal);
  const writer = await writerOf(flags, store, signal);
  const next = takenByHand(before, { clusterId: id, writer, now: now() });
  const claim = await putClaim(store, clusterName, next, signal);
  if (claim === undefined)
    throw new OperatorError(
      "Conflict",
      `somebody else changed the claim of ${clusterName} at the same moment`,
      {
        hint: "look at it with etcd-backup claim show, then take it again",
      },
    );
  await printClaim(store, { clusterName, claim }, flags, context);
}

/** The ID as given, or that of the cluster at the endpoints. */
async function clusterIdOf(flags: TakeFlags, { signal }: Context): Promise<string> {
  const { etcdClusterId } = flags;
  if (etcdClusterId !== undefined) {
    const id = etcdClusterId.toLowerCase().replace(/^0+(?=.)/, "");
    if (/^[0-9a-f]{1,16}$/.test(id)) return id;
    throw usage(
      `--etcd-cluster-id ${etcdClusterId} is not an etcd cluster ID`,
      "give the hexadecimal ID that `etcd-backup members -o json` prints",
    );
  }
  if (flags.endpoints === undefined)
    throw usage(
      "neither --etcd-cluster-id nor --endpoints was given",
      "name the etcd cluster that the folder shall belong to",
    );
  await using cluster = openCluster(endpointsOf(flags), await accessOf(flags));
  return (await cluster.observe(signal)).clusterId;
}

/** Without --writer nobody holds the folder, and the first operator that backs up this cluster takes it. */
async function writerOf(
  { writer: id }: TakeFlags,
  store: Pick<Store, "list">,
  signal: AbortSignal,
): Promise<StoredClaim["writer"]> {
  if (id === undefined) return undefined;
  if ((await listHeartbeats(store, signal, id)).length > 0)
    return { id, who: "the writer that a person named" };
  throw new OperatorError("NotFound", `no operator has written to this store as ${id}`, {
    hint: "give the ID in status.writer of an EtcdBackupStore, or leave --writer out",
  });
}

async function printClaim(
  store: Store,
  { clusterName, claim }: { clusterName: string; claim: StoredClaim },
  { output }: ClaimFlags,
  context: Context,
): Promise<void> {
  const { nonce: _, ...shown } = claim;
  const beats =
    claim.writer === undefined ? [] : await listHeartbeats(store, context.signal, claim.writer.id);
  const newest = beats.toSorted((a, b) => b.renewal - a.renewal)[0];
  const lastRenewal = newest === undefined ? {} : { lastRenewal: newest.modified.toISOString() };
  await print(context, output, { folder: `${store.url}/${clusterName}`, ...shown, ...lastRenewal }, () =>
    claimTable(`${store.url}/${clusterName}`, claim, newest, context.now()),
  );
}

function claimTable(
  folder: string,
  { lineage, writer, since, reason, number }: StoredClaim,
  beat: ListedHeartbeat | undefined,
  now: Date,
): string {
  const [current, ...ancestors] = lineage.toReversed();
  const renewed =
    beat === undefined ? "which has left no sign of life" : `renewed ${age(beat.modified, now)} ago`;
  const rows = [
    ["ETCD", `${current?.id}${restoredFrom(current)}`],
    ...ancestors.map((ancestor) => ["BEFORE", `${ancestor.id}${restoredFrom(ancestor)}`]),
    ["WRITER", writer === undefined ? "nobody holds it" : `${writer.id}, ${writer.who}, ${renewed}`],
    ["SINCE", `${since}: ${reason} (claim ${number})`],
  ];
  return table(["FOLDER", folder], rows);
}

function restoredFrom(ancestor: StoredClaim["lineage"][number] | undefined): string {
  return ancestor?.restoredFrom === undefined ? "" : `, restored from ${ancestor.restoredFrom}`;
}
