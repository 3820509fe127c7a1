import { foldersOfOthers } from "../../backup/catalog/claim.ts";
import { type Orphan, abandonedAfterMs, keptMessage, sweepAbandoned } from "../../backup/catalog/orphans.ts";
import { storeTime } from "../../backup/catalog/writers.ts";
import { checkMayDeleteWithoutHold } from "../../backup/folder.ts";
import { age, bytes } from "../../core/human.ts";
import { openStore } from "../../store/open.ts";
import type { Store } from "../../store/store.ts";
import type { Context, GlobalFlags } from "../context.ts";
import { type OutputFormat, type StoreFlags, clusterNameOf, milliseconds, storeOf } from "../flags.ts";
import { print } from "../output.ts";
import { table } from "../table.ts";
import { usage } from "../usage.ts";

export interface GcFlags extends GlobalFlags, StoreFlags {
  olderThan: string;
  dryRun?: boolean;
  output: OutputFormat;
}

/**
 * `etcd-backup gc`: removes what crashed and stopped runs have left. Prints what was removed, also when the removal fails
 * halfway.
 */
export async function gc(flags: GcFlags, context: Context): Promise<void> {
  const { signal, now, stderr } = context;
  const clusterName = flags.clusterName === undefined ? undefined : clusterNameOf(flags);
  const olderThanMs = olderThanOf(flags);
  const dryRun = flags.dryRun === true;
  await using store = await openStore(storeOf(flags), { env: context.env });
  const scope = await scopeOf(store, clusterName, context);
  const before = new Date(Math.max(0, (await timeOf(store, dryRun, context)) - olderThanMs));
  const found: Orphan[] = [];
  const failure = await sweepAbandoned(store, {
    ...scope,
    before,
    dryRun,
    signal,
    onOrphan: (orphan) => found.push(orphan),
    onKept: (object) => stderr.write(`warning: ${object}: ${keptMessage}\n`),
  }).then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  if (failure === undefined || found.length > 0) {
    const objects = found.map(({ modified, ...orphan }) => ({ ...orphan, modified: modified.toISOString() }));
    const value = { store: store.url, before: before.toISOString(), dryRun, objects };
    if (found.length === 0 && flags.output === "table")
      stderr.write(`nothing in ${store.url} is to be removed\n`);
    else await print(context, flags.output, value, () => orphanTable(found, { dryRun, now: now() }));
  }
  if (failure !== undefined) throw failure.error;
}

function olderThanOf({ olderThan }: GcFlags): number {
  const olderThanMs = milliseconds(olderThan, "--older-than");
  if (olderThanMs >= abandonedAfterMs) return olderThanMs;
  throw usage(
    `--older-than ${olderThan} is shorter than 25h: a run may last 24h, and its data has no manifest until its end`,
    "give 25h or more",
  );
}

/** The folders to sweep: the given one, or all that no operator holds. Throws FolderClaimed for a given one that is held. */
async function scopeOf(store: Store, clusterName: string | undefined, { signal, stderr }: Context) {
  if (clusterName !== undefined) {
    await checkMayDeleteWithoutHold({ store, clusterName }, signal);
    return { clusterName };
  }
  const objects = await Array.fromAsync(store.list("", { signal }));
  const others = await foldersOfOthers(store, { objects, signal });
  if (others.size > 0)
    stderr.write(
      `skipped folders that an operator holds, or whose claim cannot be read: ${[...others].toSorted().join(", ")}\n`,
    );
  return { objects, isOurs: (folder: string) => !others.has(folder) };
}

/**
 * Milliseconds since the epoch. The ages are by the store's clock. With the one of this host alone, a clock that is ahead
 * would remove the data of a run that is under way. A dry run writes nothing, so it cannot ask the store.
 */
async function timeOf(store: Store, dryRun: boolean, { now, signal }: Context): Promise<number> {
  const here = now().getTime();
  return dryRun ? here : Math.min(here, (await storeTime(store, signal)).getTime());
}

const why: Readonly<Record<Orphan["kind"], string>> = {
  DataWithoutManifest: "data without a manifest: its run did not finish",
  UnfinishedUpload: "unfinished upload",
  Probe: "probe of a store that was not removed",
};

function orphanTable(orphans: readonly Orphan[], { dryRun, now }: { dryRun: boolean; now: Date }): string {
  const rows = orphans.map(({ object, modified, size, kind }) => [
    object,
    age(modified, now),
    size === undefined ? "-" : bytes(size),
    why[kind],
  ]);
  const total = bytes(orphans.reduce((sum, { size = 0 }) => sum + size, 0));
  const counts = dryRun
    ? `${orphans.length} to remove, ${total}; nothing was removed (--dry-run)`
    : `${orphans.length} removed, ${total}`;
  return `${table(["OBJECT", "AGE", "SIZE", "WHY"], rows, ["SIZE"])}${counts}\n`;
}
