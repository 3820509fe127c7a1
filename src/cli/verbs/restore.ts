import { type Command, Option } from "commander";
import type { Context } from "../context.ts";
import { fromEnv, outputFormat, verb, withBackup, withStore } from "../options.ts";
import { defaultBumpRevision } from "../restore/flags.ts";

export function addRestore(program: Command, context: Context): void {
  withDirectories(
    withNewCluster(
      withBackup(
        verb(program, "restore", "verify a backup, then create the data directory of a new cluster's member"),
      ),
    ),
  )
    .option(
      "--bump-revision <count>",
      "revisions to skip after the snapshot's, so that no client takes an old revision for a new one; they are marked as compacted; 0 skips none",
      defaultBumpRevision,
    )
    .option(
      "--etcdutl <file>",
      "etcdutl of the etcd version that will run on the data, or etcdctl for 3.4 (default: the first in PATH and the usual folders)",
    )
    .addOption(new Option("--learner").hideHelp())
    .addOption(outputFormat())
    .addHelpText("after", restoreHelp)
    .action(async (backup: string, _flags, command: Command) =>
      (await import("../commands/restore.ts")).restore(backup, command.optsWithGlobals(), context),
    );
}

function withNewCluster(command: Command): Command {
  return command
    .addOption(
      fromEnv(
        "--name <name>",
        "member to restore, as --initial-cluster names it (default: its only member)",
        "ETCD_NAME",
      ),
    )
    .addOption(
      fromEnv(
        "--initial-cluster <members>",
        "all members of the new cluster with their peer URLs, m1=https://10.0.0.1:2380,m2=… (default: one member at http://localhost:2380)",
        "ETCD_INITIAL_CLUSTER",
      ),
    )
    .option(
      "--initial-cluster-token <token>",
      "token of the new cluster, the same for all its members and never the old cluster's (default: a new one, which is printed)",
    )
    .addOption(
      fromEnv(
        "--initial-advertise-peer-urls <urls>",
        "peer URLs of this member (default: its URLs in --initial-cluster)",
        "ETCD_INITIAL_ADVERTISE_PEER_URLS",
      ),
    );
}

function withDirectories(command: Command): Command {
  return command
    .addOption(
      fromEnv("--data-dir <dir>", "data directory to create; it must be absent or empty", "ETCD_DATA_DIR"),
    )
    .addOption(
      fromEnv(
        "--wal-dir <dir>",
        "WAL directory to create; it must be absent or empty (default: in the data directory)",
        "ETCD_WAL_DIR",
      ),
    )
    .option("--all-members", "restore every member of --initial-cluster on this host")
    .option(
      "--data-dir-template <dir>",
      "data directory of each member with --all-members, such as '/var/lib/etcd/{name}'",
    )
    .option(
      "--wal-dir-template <dir>",
      "WAL directory of each member with --all-members, such as '/var/lib/etcd-wal/{name}'",
    );
}

/** The Jobs of an EtcdRestore run these steps. Help does not list them. */
export function addRestoreSteps(program: Command, context: Context): void {
  const steps = program.command("restore-step", { hidden: true });
  const step = (name: string, description: string): Command =>
    verb(steps, name, description)
      .requiredOption("--id <uid>", "UID of the EtcdRestore")
      .requiredOption("--data-dir <dir>", "data directory of the member")
      .requiredOption("--backup <cluster/name>", "backup that is restored");
  withStore(step("fetch", "verify the backup and write its snapshot into the work folder"))
    .requiredOption("--sha256 <hex>", "SHA-256 of the snapshot that the operator has verified")
    .option("--store-ca <file>", "CA certificates (PEM) of the store's endpoint")
    .action(async (_flags, command: Command) =>
      (await import("../commands/restore-step.ts")).fetchStep(command.optsWithGlobals(), context),
    );
  step("place", "move the data that etcd's tool has made into the data directory")
    .requiredOption("--member <name>", "name of the member")
    .requiredOption("--token <token>", "token of the new cluster")
    .action(async (_flags, command: Command) =>
      (await import("../commands/restore-step.ts")).placeStep(command.optsWithGlobals(), context),
    );
}

const restoreHelp = `
Run it once for each member, with the same backup and token, or once for all
members with --all-members. Data is moved into the data directory only after the
backup is verified; a failed restore leaves the directory as it was. Never
restore one member into a cluster that still has its quorum: remove the member
and add it again.`;
