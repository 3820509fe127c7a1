import { Command, Option } from "commander";
import { type Context, logLevels } from "./context.ts";
import {
  clusterNameOption,
  fromEnv,
  outputFormat,
  verb,
  withBackup,
  withEtcd,
  withStore,
} from "./options.ts";
import { defaultBumpRevision } from "./restore/flags.ts";
import { version } from "./version.ts";

/** The command line: its verbs, options and help. */
export function build(context: Context): Command {
  const program = new Command("etcd-backup")
    .description("Back up any etcd to an object store, verified, and bring it back.")
    .version(version(), "-V, --version")
    .addOption(
      new Option("--log-level <level>", "how much to say on stderr").choices(logLevels).default("info"),
    )
    .option("-q, --quiet", "no progress, only the result and errors")
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text.replace(/^error: /, "etcd-backup: ")),
    })
    .showHelpAfterError("(see --help)")
    .exitOverride();
  addEtcdVerbs(program, context);
  addStoreVerbs(program, context);
  addRestore(program, context);
  addRestoreSteps(program, context);
  addOperator(program, context);
  return program;
}

function addEtcdVerbs(program: Command, context: Context): void {
  withEtcd(verb(program, "members", "show every member, and which one a snapshot would use and why"))
    .addOption(outputFormat())
    .action(async (_flags, command: Command) =>
      (await import("./commands/members.ts")).members(command.optsWithGlobals(), context),
    );

  withStore(withEtcd(verb(program, "save", "take a snapshot of one member, verify it, store it")))
    .addOption(clusterNameOption("the cluster's name in the store"))
    .addOption(
      new Option("--compression <kind>", "how the object is stored")
        .choices(["zstd", "none"])
        .default("zstd"),
    )
    .addOption(
      new Option("--hashkv <when>", "compare HashKV across members first")
        .choices(["when-available", "required", "skip"])
        .default("when-available"),
    )
    .option("--max-rate <bytes>", "bytes a second to read from the member at most, such as 50Mi")
    .option("--read-back", "download the stored object again and compare it before the backup is recorded")
    .addOption(outputFormat())
    .action(async (_flags, command: Command) =>
      (await import("./commands/save.ts")).save(command.optsWithGlobals(), context),
    );
}

function addStoreVerbs(program: Command, context: Context): void {
  withStore(verb(program, "list", "show the backups in a store, newest first"))
    .addOption(clusterNameOption("only this cluster"))
    .addOption(outputFormat())
    .action(async (_flags, command: Command) =>
      (await import("./commands/list.ts")).list(command.optsWithGlobals(), context),
    );

  withBackup(
    verb(program, "status", "hash, revision, total keys and size, as `etcdutl snapshot status` gives them"),
  )
    .addOption(outputFormat())
    .addHelpText("after", totalKeysHelp)
    .action(async (backup: string, _flags, command: Command) =>
      (await import("./commands/status.ts")).status(backup, command.optsWithGlobals(), context),
    );

  withBackup(verb(program, "verify", "read everything back; compare every digest and the page structure"))
    .addOption(outputFormat())
    .addHelpText("after", "\nExit code 0 only if the backup can be restored, 4 if anything disagrees.")
    .action(async (backup: string, _flags, command: Command) =>
      (await import("./commands/verify.ts")).verify(backup, command.optsWithGlobals(), context),
    );

  withBackup(
    verb(program, "fetch", "get the plain snapshot file, as `etcdctl snapshot save` would have written it"),
  )
    .requiredOption("-o, --output <file>", "where to write it; never overwritten unless --force")
    .option("-f, --force", "replace the file if it exists")
    .action(async (backup: string, _flags, command: Command) =>
      (await import("./commands/fetch.ts")).fetch(backup, command.optsWithGlobals(), context),
    );
}

function addRestore(program: Command, context: Context): void {
  withBackup(
    verb(
      program,
      "restore",
      "make the data directory of a new cluster's member from a backup, verified first",
    ),
  )
    .addOption(fromEnv("--name <name>", "the member's name, as in --initial-cluster", "ETCD_NAME"))
    .addOption(
      fromEnv(
        "--initial-cluster <members>",
        "every member of the new cluster: m1=https://10.0.0.1:2380,m2=…",
        "ETCD_INITIAL_CLUSTER",
      ),
    )
    .option(
      "--initial-cluster-token <token>",
      "the same for all members, and not the old cluster's; a fresh one is made and printed",
    )
    .addOption(
      fromEnv(
        "--initial-advertise-peer-urls <urls>",
        "this member's peer URLs; those of --initial-cluster by default",
        "ETCD_INITIAL_ADVERTISE_PEER_URLS",
      ),
    )
    .addOption(
      fromEnv("--data-dir <dir>", "absent or empty; existing data is never touched", "ETCD_DATA_DIR"),
    )
    .addOption(fromEnv("--wal-dir <dir>", "absent or empty, when the log lies apart", "ETCD_WAL_DIR"))
    .option("--all-members", "every member of --initial-cluster, on this host")
    .option("--data-dir-template <dir>", "with --all-members, such as '/var/lib/etcd/{name}'")
    .option("--wal-dir-template <dir>", "with --all-members, when the logs lie apart")
    .option(
      "--bump-revision <count>",
      "revisions go on so far beyond the snapshot's, marked compacted, so that no client takes an old one for new; 0 for neither",
      defaultBumpRevision,
    )
    .option("--etcdutl <file>", "etcdutl of the etcd that is to run on the data (3.4: its etcdctl)")
    .addOption(new Option("--learner").hideHelp())
    .addOption(outputFormat())
    .addHelpText("after", restoreHelp)
    .action(async (backup: string, _flags, command: Command) =>
      (await import("./commands/restore.ts")).restore(backup, command.optsWithGlobals(), context),
    );
}

/** What the Jobs of an EtcdRestore run; not for people. */
function addRestoreSteps(program: Command, context: Context): void {
  const steps = program.command("restore-step", { hidden: true });
  const step = (name: string) =>
    steps
      .command(name)
      .requiredOption("--id <uid>")
      .requiredOption("--data-dir <dir>")
      .requiredOption("--backup <cluster/name>");
  withStore(step("fetch"))
    .requiredOption("--sha256 <hex>")
    .option("--store-ca <file>")
    .action(async (_flags, command: Command) =>
      (await import("./commands/restore-step.ts")).fetchStep(command.optsWithGlobals(), context),
    );
  step("place")
    .requiredOption("--member <name>")
    .requiredOption("--token <token>")
    .action(async (_flags, command: Command) =>
      (await import("./commands/restore-step.ts")).placeStep(command.optsWithGlobals(), context),
    );
}

function addOperator(program: Command, context: Context): void {
  verb(program, "operator", "run the controllers: what the Deployment runs")
    .option("--kubeconfig <file>", "instead of KUBECONFIG or the service account of the pod")
    .addOption(
      fromEnv("--watch-namespaces <names>", "only these namespaces, separated by commas", "WATCH_NAMESPACES"),
    )
    .option("--max-concurrent-backups <count>", "snapshots that may run at once", "2")
    .option(
      "--host-path-namespaces <names>",
      "namespaces whose resources may name files and folders where the operator runs; * for all; its own by default",
    )
    .option("--no-leader-elect", "work without a Lease: only where there is never a second operator")
    .option("--lease-name <name>", "Lease in the operator's own namespace", "etcd-backup-operator")
    .option(
      "--lease-duration <seconds>",
      "how long others wait for a leader that is not heard of; it stops its work after two thirds of that",
      "30",
    )
    .addOption(
      fromEnv(
        "--image <name>",
        "image of this program, which the Jobs of an EtcdRestore run",
        "OPERATOR_IMAGE",
      ),
    )
    .option("--listen <address>", "host:port of /healthz, /readyz and /metrics", ":8080")
    .action(async (_flags, command: Command) =>
      (await import("./commands/operator.ts")).operator(command.optsWithGlobals(), context),
    );
}

const restoreHelp = `
Run it once for each member, with the same backup and token, or once with --all-members. Everything is verified before
the data directory is given its place; a failed run leaves it as it was. Never restore a single member into a cluster
that still has its quorum: remove it and add it again.`;

const totalKeysHelp = `
TOTAL KEYS is what the etcdutl of the etcd minor that made the snapshot prints: up to 3.5 the key-value pairs of all
buckets, from 3.6 the live user keys. -o json and the manifest carry both, as pairs and liveKeys.`;
