import { type FolderBackup, readFolder } from "../../backup/catalog/folder-backups.ts";
import { checkMayDeleteWithoutHold } from "../../backup/folder.ts";
import { laterReleaseHint } from "../../backup/manifest/manifest.ts";
import { removeWithoutHold } from "../../backup/remove-without-hold.ts";
import { parseBackupName } from "../../core/backup/name.ts";
import { type Removal, failureOf, newestSound } from "../../core/backup/removal.ts";
import { describeSeries } from "../../core/backup/series.ts";
import { OperatorError } from "../../core/errors.ts";
import { age } from "../../core/human.ts";
import { newestFirst } from "../../core/retention/retainable.ts";
import { openStore } from "../../store/open.ts";
import type { Context, GlobalFlags } from "../context.ts";
import { type OutputFormat, type StoreFlags, clusterNameOf, storeOf } from "../flags.ts";
import { print } from "../output.ts";
import { table } from "../table.ts";
import { usage } from "../usage.ts";

export interface DeleteFlags extends GlobalFlags, StoreFlags {
  allowNewest?: boolean;
  dryRun?: boolean;
  output: OutputFormat;
}

/**
 * `etcd-backup delete`: deletes the named backups of one folder, oldest first. When one of them may not be deleted,
 * nothing is.
 */
export async function deleteBackups(
  texts: readonly string[],
  flags: DeleteFlags,
  context: Context,
): Promise<void> {
  const { signal, now } = context;
  const clusterName = clusterNameOf(flags);
  const names = namesOf(texts);
  const dryRun = flags.dryRun === true;
  await using store = await openStore(storeOf(flags), { env: context.env });
  await checkMayDeleteWithoutHold({ store, clusterName }, signal);
  const folder = `${store.url}/${clusterName}`;
  const chosen = choose(await readFolder(store, clusterName, signal), names, { folder, ...flags });
  const removal: Removal = dryRun
    ? { removed: new Set(), failed: new Map() }
    : await removeWithoutHold(store, {
        clusterName,
        names: chosen.map(({ name }) => name).toReversed(),
        signal,
      });
  const backups = chosen.map((backup) => valueOf(backup, removal));
  await print(context, flags.output, { folder, dryRun, backups }, () =>
    resultTable(chosen, removal, { dryRun, now: now() }),
  );
  const failure = failureOf(removal, chosen.length);
  if (failure !== undefined) throw failure;
}

/** Only whole names: what `latest` means may change between a look at the list and the deletion. */
function namesOf(texts: readonly string[]): Set<string> {
  for (const text of texts)
    if (parseBackupName(text) === undefined)
      throw usage(`${text} is not the name of a backup`, "give names as `etcd-backup list` shows them");
  return new Set(texts);
}

/** The named backups, newest first. Throws when one does not exist or may not be deleted. */
export function choose(
  backups: readonly FolderBackup[],
  names: ReadonlySet<string>,
  { folder, allowNewest = false }: { folder: string; allowNewest?: boolean },
): FolderBackup[] {
  const chosen = backups.filter(({ name }) => names.has(name)).toSorted(newestFirst);
  const missing = [...names].filter((name) => !chosen.some((backup) => backup.name === name));
  if (missing.length > 0)
    throw new OperatorError(
      "NotFound",
      `${folder} does not hold ${missing.join(", ")}; nothing was deleted`,
      {
        hint: "see `etcd-backup list`; data without a manifest is deleted by `etcd-backup gc`",
      },
    );
  const later = chosen.find(({ isOfLaterRelease }) => isOfLaterRelease === true);
  if (later !== undefined)
    throw new OperatorError("Refused", `${later.name}: ${later.problem}; nothing was deleted`, {
      hint: laterReleaseHint,
    });
  const newest = newestSound(backups)?.name;
  if (newest !== undefined && names.has(newest) && !allowNewest)
    throw new OperatorError(
      "Refused",
      `${newest} is the newest backup in ${folder} that can be restored; nothing was deleted`,
      { hint: "leave it out, or add --allow-newest" },
    );
  return chosen;
}

function valueOf({ name, time, revision, series, problem }: FolderBackup, { removed, failed }: Removal) {
  const error = failed.get(name)?.message;
  return {
    name,
    time: time.toISOString(),
    revision,
    deleted: removed.has(name),
    ...(series === undefined ? {} : { series }),
    ...(problem === undefined ? {} : { problem }),
    ...(error === undefined ? {} : { error }),
  };
}

function resultTable(
  backups: readonly FolderBackup[],
  { removed, failed }: Removal,
  { dryRun, now }: { dryRun: boolean; now: Date },
): string {
  const rows = backups.map(({ name, time, revision, series }) => {
    const error = failed.get(name)?.message;
    const undone = error === undefined ? "not deleted" : `not deleted: ${error}`;
    const result = dryRun ? "would be deleted" : removed.has(name) ? "deleted" : undone;
    const ofSeries = series === undefined ? "-" : describeSeries(series);
    return [name, age(time, now), String(revision), ofSeries, result];
  });
  const counts = dryRun
    ? `${backups.length} to delete; nothing was deleted (--dry-run)`
    : `${removed.size} of ${backups.length} deleted`;
  return `${table(["BACKUP", "AGE", "REVISION", "SERIES", "RESULT"], rows, ["REVISION"])}${counts}\n`;
}
