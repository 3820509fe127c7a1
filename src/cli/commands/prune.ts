import { readFolder } from "../../backup/catalog/folder-backups.ts";
import { checkMayDeleteWithoutHold } from "../../backup/folder.ts";
import { removeWithoutHold } from "../../backup/remove-without-hold.ts";
import { type Removal, failureOf } from "../../core/backup/removal.ts";
import { checkSeriesName, isSameSeries } from "../../core/backup/series.ts";
import { age } from "../../core/human.ts";
import { type RetentionPlan, planRetention } from "../../core/retention/plan.ts";
import { type RetainableBackup, newestFirst } from "../../core/retention/retainable.ts";
import { openStore } from "../../store/open.ts";
import type { Context, GlobalFlags } from "../context.ts";
import { type OutputFormat, type StoreFlags, clusterNameOf, storeOf } from "../flags.ts";
import { print } from "../output.ts";
import type { KeepFlags } from "../keep-rules.ts";
import { checkedZone, policyOf } from "../retention-flags.ts";
import { table } from "../table.ts";
import { usage } from "../usage.ts";

export interface PruneFlags extends GlobalFlags, StoreFlags, KeepFlags {
  series?: string;
  timeZone: string;
  dryRun?: boolean;
  output: OutputFormat;
}

/** What happens to one backup. `error`: why it is still there although no rule keeps it. */
interface Row {
  backup: RetainableBackup;
  plan: "keep" | "remove";
  reasons: string[];
  error?: string;
}

/**
 * `etcd-backup prune`: removes the backups of a series of the command line that no rule keeps, oldest first. Prints the
 * whole plan, also when the removal fails halfway.
 */
export async function prune(flags: PruneFlags, context: Context): Promise<void> {
  const { signal, now, stderr } = context;
  const clusterName = clusterNameOf(flags);
  const series = { name: seriesOf(flags) };
  const policy = policyOf(flags);
  const timeZone = checkedZone(flags.timeZone);
  const dryRun = flags.dryRun === true;
  await using store = await openStore(storeOf(flags), { env: context.env });
  await checkMayDeleteWithoutHold({ store, clusterName }, signal);
  const backups = await readFolder(store, clusterName, signal);
  const plan = planRetention(backups, { policy, series, timeZone });
  const names = plan.removed.map(({ backup }) => backup.name).toReversed();
  const removal: Removal = dryRun
    ? { removed: new Set(), failed: new Map() }
    : await removeWithoutHold(store, { clusterName, names, signal });
  const rows = rowsOf(plan, removal);
  const folder = `${store.url}/${clusterName}`;
  if (!backups.some((backup) => backup.series !== undefined && isSameSeries(backup.series, series)))
    stderr.write(`warning: ${folder} holds no backup of the series ${series.name}\n`);
  const value = {
    folder,
    series: series.name,
    timeZone,
    policy,
    dryRun,
    backups: rows.map((row) => valueOf(row, removal)),
  };
  await print(context, flags.output, value, () =>
    rows.length === 0 ? "" : `${planTable(rows, now())}${counts(plan, removal, dryRun)}\n`,
  );
  const failure = failureOf(removal, names.length);
  if (failure !== undefined) throw failure;
}

function seriesOf({ series }: PruneFlags): string {
  if (series !== undefined) return checkSeriesName(series);
  throw usage(
    "no series was given",
    "add --series NAME: the series that `save --series NAME` adds backups to",
  );
}

/** Newest first. */
function rowsOf({ kept, removed }: RetentionPlan, { failed }: Removal): Row[] {
  return [
    ...kept.map(({ backup, reasons }): Row => ({ backup, plan: "keep", reasons })),
    ...removed.map(({ backup, reason }): Row => {
      const error = failed.get(backup.name)?.message;
      return { backup, plan: "remove", reasons: [reason], ...(error === undefined ? {} : { error }) };
    }),
  ].toSorted((a, b) => newestFirst(a.backup, b.backup));
}

function valueOf({ backup, plan, reasons, error }: Row, { removed }: Removal) {
  const { name, time, revision, problem } = backup;
  return {
    name,
    time: time.toISOString(),
    revision,
    plan,
    reasons,
    removed: removed.has(name),
    ...(problem === undefined ? {} : { problem }),
    ...(error === undefined ? {} : { error }),
  };
}

function planTable(rows: readonly Row[], now: Date): string {
  const cells = rows.map(({ backup, plan, reasons, error }) => {
    const reason = `${reasons.join(", ")}${error === undefined ? "" : `; not removed: ${error}`}`;
    return [backup.name, age(backup.time, now), String(backup.revision), plan, reason];
  });
  return table(["BACKUP", "AGE", "REVISION", "PLAN", "REASON"], cells, ["REVISION"]);
}

function counts({ kept, removed }: RetentionPlan, removal: Removal, dryRun: boolean): string {
  if (dryRun) return `${kept.length} to keep, ${removed.length} to remove; nothing was removed (--dry-run)`;
  const left = removed.length - removal.removed.size;
  const rest = left === 0 ? "" : `, ${left} to remove are still there`;
  return `${kept.length} kept, ${removal.removed.size} removed${rest}`;
}
