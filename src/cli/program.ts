import { Command, Option } from "commander";
import { type Context, logLevels } from "./context.ts";
import {
  clusterNameOption,
  fromEnv,
  outputFormat,
  verb,
  withBackup,
  withEtcd,
  withEtcdAccess,
  withStore,
} from "./options.ts";
import { defaultBumpRevision } from "./restore/flags.ts";
import { programVersion } from "./version.ts";

/** The command line: verbs, options and help. A verb's code is loaded when the verb runs. */
export function build(context: Context): Command {
  const program = new Command("etcd-backup")
    .description("Save verified backups of any etcd in an object store, and restore clusters from them.")
    .version(programVersion(), "-V, --version", "print the version")
    .addOption(
      new Option(
        "--log-level <level>",
        "least severe messages to print; error hides progress, debug adds the stack of an error",
      )
        .choices(logLevels)
        .default("info"),
    )
    .option("-q, --quiet", "hide progress; print the result, warnings and errors")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .addHelpText("after", exitCodesHelp)
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      // Commander's errors begin with `error: `.
      writeErr: (text) => context.stderr.write(text.replace(/^error: /, "etcd-backup: ")),
    })
    .showHelpAfterError("(see --help)")
    .exitOverride();
  addEtcdVerbs(program, context);
  addStoreVerbs(program, context);
  addRestore(program, context);
  addClaim(program, context);
  addRestoreSteps(program, context);
  addOperator(program, context);
  return program;
}

function addEtcdVerbs(program: Command, context: Context): void {
  withEtcd(verb(program, "members", "show each member, which one `save` would read from, and why"))
    .addOption(outputFormat())
    .action(async (_flags, command: Command) =>
      (await import("./commands/members.ts")).members(command.optsWithGlobals(), context),
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
    .option("--read-back", "read the stored snapshot again and verify it before the backup is recorded")
    .addOption(outputFormat())
    .action(async (_flags, command: Command) =>
      (await import("./commands/save.ts")).save(command.optsWithGlobals(), context),
    );
}

function addStoreVerbs(program: Command, context: Context): void {
  withStore(verb(program, "list", "list the backups in a store, newest first"))
    .addOption(clusterNameOption("list only the backups of this cluster (default: all)"))
    .addOption(outputFormat())
    .action(async (_flags, command: Command) =>
      (await import("./commands/list.ts")).list(command.optsWithGlobals(), context),
    );

  withBackup(
    verb(program, "status", "print hash, revision, keys and size, as `etcdutl snapshot status` does"),
  )
    .addOption(outputFormat())
    .addHelpText("after", totalKeysHelp)
    .action(async (backup: string, _flags, command: Command) =>
      (await import("./commands/status.ts")).status(backup, command.optsWithGlobals(), context),
    );

  withBackup(verb(program, "verify", "read a whole backup and check its digests and page structure"))
    .addOption(outputFormat())
    .addHelpText("after", verifyHelp)
    .action(async (backup: string, _flags, command: Command) =>
      (await import("./commands/verify.ts")).verify(backup, command.optsWithGlobals(), context),
    );

  withBackup(
    verb(program, "fetch", "verify a backup and write the plain snapshot file that etcd's tools read"),
  )
    .requiredOption("-o, --output <file>", "file to write, once the whole backup is verified")
    .option("-f, --force", "replace the file if it exists")
    .action(async (backup: string, _flags, command: Command) =>
      (await import("./commands/fetch.ts")).fetch(backup, command.optsWithGlobals(), context),
    );
}

function addRestore(program: Command, context: Context): void {
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
      (await import("./commands/restore.ts")).restore(backup, command.optsWithGlobals(), context),
    );
}

function addClaim(program: Command, context: Context): void {
  const claim = program
    .command("claim")
    .description("show or settle to which etcd cluster and operator a cluster's folder in the store belongs");
  const cluster = () => clusterNameOption("name of the cluster in the store (required)");
  withStore(verb(claim, "show", "show whose the folder is, since when and why"))
    .addOption(cluster())
    .addOption(outputFormat())
    .action(async (_flags, command: Command) =>
      (await import("./commands/claim.ts")).showClaim(command.optsWithGlobals(), context),
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
      (await import("./commands/claim.ts")).takeClaim(command.optsWithGlobals(), context),
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
function addRestoreSteps(program: Command, context: Context): void {
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
      (await import("./commands/restore-step.ts")).fetchStep(command.optsWithGlobals(), context),
    );
  step("place", "move the data that etcd's tool has made into the data directory")
    .requiredOption("--member <name>", "name of the member")
    .requiredOption("--token <token>", "token of the new cluster")
    .action(async (_flags, command: Command) =>
      (await import("./commands/restore-step.ts")).placeStep(command.optsWithGlobals(), context),
    );
}

function addOperator(program: Command, context: Context): void {
  verb(program, "operator", "run the Kubernetes operator; its Deployment runs this command")
    // Beside the longest flag few columns remain for the descriptions, and by default such a column is not wrapped.
    .configureHelp({ minWidthToWrap: 20 })
    .option(
      "--kubeconfig <file>",
      "kubeconfig file (default: KUBECONFIG, the pod's service account, or ~/.kube/config)",
    )
    .addOption(
      fromEnv(
        "--watch-namespaces <names>",
        "namespaces to watch, separated by commas (default: all)",
        "WATCH_NAMESPACES",
      ),
    )
    .option("--max-concurrent-backups <count>", "most backups to run at the same time", "2")
    .option(
      "--host-path-namespaces <names>",
      "namespaces, separated by commas, whose resources may name files and directories of the operator's host; * is all (default: the operator's own)",
    )
    .option(
      "--ambient-credentials-namespaces <names>",
      "namespaces, separated by commas, whose stores may use the AWS credentials, endpoint and region of the operator's environment; * is all (default: the operator's own)",
    )
    .option(
      "--ambient-credentials-endpoints <urls>",
      "endpoints of S3-compatible stores, separated by commas, to which these credentials may be sent (default: none besides Amazon S3 and AWS_ENDPOINT_URL)",
    )
    .option(
      "--cross-namespace-etcd-namespaces <names>",
      "namespaces, separated by commas, whose resources may find etcd by a Service or Pods of another namespace; * is all (default: the operator's own)",
    )
    .option(
      "--loopback-namespaces <names>",
      "namespaces, separated by commas, whose resources may name loopback and link-local addresses of the operator's host as endpoints of etcd and S3; * is all (default: those of --host-path-namespaces)",
    )
    .option("--no-leader-elect", "run without a Lease; a second operator must never run beside this one")
    .option("--lease-name <name>", "Lease in the operator's namespace", "etcd-backup-operator")
    .option(
      "--lease-duration <seconds>",
      "seconds (3 or more) before a standby replaces an unresponsive leader; the leader stops its own work after two thirds of them",
      "30",
    )
    .option(
      "--hold-duration <seconds>",
      "seconds (15 to 3600) of silence after which another operator may take over what this one holds: an EtcdBackupStore, or a cluster's folder in the store; this one renews its hold after a third of them",
      "900",
    )
    .addOption(
      fromEnv("--image <name>", "image of this program for the Jobs of an EtcdRestore", "OPERATOR_IMAGE"),
    )
    .option("--listen <address>", "host:port of /healthz, /readyz and /metrics", ":8080")
    .action(async (_flags, command: Command) =>
      (await import("./commands/operator.ts")).operator(command.optsWithGlobals(), context),
    );
}

const exitCodesHelp = `
Exit codes:
  0    done
  1    failed; another attempt may succeed
  2    the command line is wrong
  3    failed; another attempt would fail as well
  4    verification failed
  130  stopped by Ctrl-C (143: by SIGTERM)`;

const verifyHelp = `
The exit code is 0 only if the backup can be restored. It is 4 if a check fails.`;

const restoreHelp = `
Run it once for each member, with the same backup and token, or once for all
members with --all-members. Data is moved into the data directory only after the
backup is verified; a failed restore leaves the directory as it was. Never
restore one member into a cluster that still has its quorum: remove the member
and add it again.`;

const totalKeysHelp = `
TOTAL KEYS counts as the etcdutl of the etcd version that made the snapshot:
key-value pairs of all buckets up to 3.5, live user keys from 3.6. The manifest
and -o json hold both counts, as pairs and liveKeys.`;
