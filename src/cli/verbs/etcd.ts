import { type Command, Option } from "commander";
import type { Context } from "../context.ts";
import { clusterNameOption, outputFormat, verb, withEtcd, withStore } from "../options.ts";

/** The verbs that read from members. */
export function addEtcdVerbs(program: Command, context: Context): void {
  withEtcd(verb(program, "members", "show each member, which one `save` would read from, and why"))
    .addOption(outputFormat())
    .action(async (_flags, command: Command) =>
      (await import("../commands/members.ts")).members(command.optsWithGlobals(), context),
    );

  withStore(withEtcd(verb(program, "save", "read a snapshot from one member, verify it and store it")))
    .addOption(clusterNameOption("name of the cluster in the store (required)"))
    .addOption(
      new Option("--compression <kind>", "compression of the stored snapshot")
        .choices(["zstd", "none"])
        .default("zstd"),
    )
    .addOption(
      new Option(
        "--hashkv <when>",
        "compare the members' HashKV before the snapshot: when-available those that answer, required all of them or fail, skip none",
      )
        .choices(["when-available", "required", "skip"])
        .default("when-available"),
    )
    .option(
      "--max-rate <bytes>",
      "most bytes a second to read from the members, HashKV included, such as 50Mi (default: no limit)",
    )
    .option("--timeout <duration>", "time limit of the whole save, such as 30m or 6h; 24h at most", "6h")
    .option(
      "--series <name>",
      "series of backups to add this one to, for `prune --series`; a backup without a series is never pruned",
    )
    .option("--read-back", "read the stored snapshot again and verify it before the backup is recorded")
    .addOption(outputFormat())
    .action(async (_flags, command: Command) =>
      (await import("../commands/save.ts")).save(command.optsWithGlobals(), context),
    );
}
