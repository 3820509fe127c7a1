import type { Command } from "commander";
import type { Context } from "../context.ts";
import { clusterNameOption, outputFormat, verb, withBackup, withEtcdAccess, withStore } from "../options.ts";

/** The verbs that work on stored backups. */
export function addStoreVerbs(program: Command, context: Context): void {
  withStore(verb(program, "list", "list the backups in a store, newest first"))
    .addOption(clusterNameOption("list only the backups of this cluster (default: all)"))
    .addOption(outputFormat())
    .action(async (_flags, command: Command) =>
      (await import("../commands/list.ts")).list(command.optsWithGlobals(), context),
    );

  withBackup(
    verb(program, "status", "print hash, revision, keys and size, as `etcdutl snapshot status` does"),
  )
    .addOption(outputFormat())
    .addHelpText("after", totalKeysHelp)
    .action(async (backup: string, _flags, command: Command) =>
      (await import("../commands/status.ts")).status(backup, command.optsWithGlobals(), context),
    );

  withBackup(verb(program, "verify", "read a whole backup and check its digests and page structure"))
    .addOption(outputFormat())
    .addHelpText("after", verifyHelp)
    .action(async (backup: string, _flags, command: Command) =>
      (await import("../commands/verify.ts")).verify(backup, command.optsWithGlobals(), context),
    );

  withBackup(
    verb(program, "fetch", "verify a backup and write the plain snapshot file that etcd's tools read"),
  )
    .requiredOption("-o, --output <file>", "file to write, once the whole backup is verified")
    .option("-f, --force", "replace the file if it exists")
    .action(async (backup: string, _flags, command: Command) =>
      (await import("../commands/fetch.ts")).fetch(backup, command.optsWithGlobals(), context),
    );
}

/** Whose a folder is. */
export function addClaim(program: Command, context: Context): void {
  const claim = program
    .command("claim")
    .description("show or settle to which etcd cluster and operator a cluster's folder in the store belongs");
  const cluster = () => clusterNameOption("name of the cluster in the store (required)");
  withStore(verb(claim, "show", "show whose the folder is, since when and why"))
    .addOption(cluster())
    .addOption(outputFormat())
    .action(async (_flags, command: Command) =>
      (await import("../commands/claim.ts")).showClaim(command.optsWithGlobals(), context),
    );
  withStore(withEtcdAccess(verb(claim, "take", "give the folder to an etcd cluster; no backup is changed")))
    .addOption(cluster())
    .option("--etcd-cluster-id <hex>", "ID of the etcd cluster (default: that of the cluster at --endpoints)")
    .option(
      "--writer <id>",
      "operator that shall hold the folder, as status.writer of its EtcdBackupStore names it (default: the first that backs the cluster up)",
    )
    .addOption(outputFormat())
    .action(async (_flags, command: Command) =>
      (await import("../commands/claim.ts")).takeClaim(command.optsWithGlobals(), context),
    );
}

const verifyHelp = `
The exit code is 0 only if the backup can be restored. It is 4 if a check fails.`;

const totalKeysHelp = `
TOTAL KEYS counts as the etcdutl of the etcd version that made the snapshot:
key-value pairs of all buckets up to 3.5, live user keys from 3.6. The manifest
and -o json hold both counts, as pairs and liveKeys.`;
