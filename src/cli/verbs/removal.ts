import { type Command, Option } from "commander";
import type { Context } from "../context.ts";
import { clusterNameOption, outputFormat, verb, withStore } from "../options.ts";
import { keepCounts } from "../keep-rules.ts";

/** The verbs that remove what a store holds. */
export function addRemovalVerbs(program: Command, context: Context): void {
  withKeepRules(withRemoval(verb(program, "prune", "remove the backups of a series that no rule keeps")))
    .addHelpText("after", pruneHelp)
    .action(async (_flags, command: Command) =>
      (await import("../commands/prune.ts")).prune(command.optsWithGlobals(), context),
    );

  withRemoval(verb(program, "delete", "delete backups by name"))
    .argument("<backup...>", "names of backups, as `list` shows them")
    .option("--allow-newest", "delete also the newest backup that can be restored")
    .addHelpText("after", deleteHelp)
    .action(async (names: string[], _flags, command: Command) =>
      (await import("../commands/delete.ts")).deleteBackups(names, command.optsWithGlobals(), context),
    );

  withRemoval(
    verb(program, "gc", "remove data without a manifest, unfinished uploads and probes"),
    "remove only in the folder of this cluster (default: in the whole store)",
  )
    .option("--older-than <duration>", "age from which they are removed; 25h at least", "25h")
    .addHelpText("after", gcHelp)
    .action(async (_flags, command: Command) =>
      (await import("../commands/gc.ts")).gc(command.optsWithGlobals(), context),
    );
}

function withRemoval(command: Command, clusterName = "name of the cluster in the store (required)"): Command {
  return withStore(command)
    .addOption(clusterNameOption(clusterName))
    .option("--dry-run", "print what would be removed, and remove nothing")
    .addOption(outputFormat());
}

function withKeepRules(command: Command): Command {
  command.option("--series <name>", "series that `save --series` adds backups to (required)");
  for (const { flag, keeps } of Object.values(keepCounts)) command.option(`${flag} <n>`, `keep ${keeps}`);
  return command
    .option(
      "--keep-within <time>",
      "keep the backups that are younger than this time, such as 36h, 7d, 2w, 6m or 1y6m, counted back from the newest of the series",
    )
    .addOption(
      new Option(
        "--time-zone <name>",
        "IANA time zone whose hours, days, weeks, months and years count",
      ).default("UTC"),
    );
}

const pruneHelp = `
At least one --keep rule is needed. A backup stays when one rule keeps it. The
newest one of the series that can be restored always stays, and so do backups
of other series, backups without a series and damaged ones. A folder that an
operator holds is refused: its EtcdBackupSchedule has the retention.

The exit code is 3 if backups remain that are under object lock.`;

const deleteHelp = `
Nothing is deleted when one of the backups may not be, and no question is asked.
A folder that an operator holds is refused: delete the EtcdBackup there.

The exit code is 3 if backups remain that are under object lock.`;

const gcHelp = `
A save and an EtcdBackup last 24 hours at most, so nothing that is older belongs
to one that still runs. Folders that operators hold are left to them. --dry-run
counts the age by the clock of this host; else the earlier one of this clock and
that of the store counts.

The exit code is 3 if objects remain that are under object lock.`;
