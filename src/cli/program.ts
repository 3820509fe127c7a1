import { Command, CommanderError, Option } from "commander";
import { OperatorError, asOperatorError } from "../core/errors.ts";
import { type Context, type LogLevel, exitCode, logLevels } from "./context.ts";
import { version } from "./version.ts";

/** Runs one command line. Resolves to the exit code; whatever goes wrong is said on stderr. */
export async function run(argv: string[], host: NodeJS.Process): Promise<number> {
  const stop = new AbortController();
  const context: Context = {
    stdout: host.stdout,
    stderr: host.stderr,
    env: host.env,
    signal: stop.signal,
    now: () => new Date(),
  };
  const signals = listen(host, stop);
  const writing = watchOutput(host);
  const program = build(context);
  const code = await program.parseAsync(argv, { from: "user" }).then(
    () => 0,
    (thrown: unknown) => {
      if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
      const error = asOperatorError(thrown);
      report(error, context, program.opts<{ logLevel: LogLevel }>().logLevel === "debug");
      return error.code === "Aborted" && signals.first() === "SIGTERM" ? 143 : exitCode(error);
    },
  );
  signals.done();
  return (await writing.ended()) || code !== 0 ? code : 1;
}

/** First signal: stop in good order. Second, or when only a reader is waited for: at once. */
function listen(
  host: NodeJS.Process,
  stop: AbortController,
): { first: () => NodeJS.Signals | undefined; done: () => void } {
  let first: NodeJS.Signals | undefined;
  let isDone = false;
  let at = 0;
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    host.on(name, () => {
      if (first !== undefined || isDone) {
        // Wrappers forward what the terminal has sent to everybody already: that is one Ctrl-C, not two.
        if (!isDone && performance.now() - at < 300) return;
        host.stderr.write("etcd-backup: stopped at once; an unfinished upload may remain in the store\n");
        host.exit(name === "SIGINT" ? 130 : 143);
      }
      first = name;
      at = performance.now();
      stop.abort(new OperatorError("Aborted", "stopped by " + (name === "SIGINT" ? "Ctrl-C" : name)));
    });
  }
  return { first: () => first, done: () => void (isDone = true) };
}

/** A closed pipe behind us is no error; a full disk is. What a pipe could not yet hold is waited for at the end. */
function watchOutput({ stdout, stderr }: NodeJS.Process): { ended: () => Promise<boolean> } {
  let failure: NodeJS.ErrnoException | undefined;
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") failure ??= error;
  });
  stderr.on("error", () => {});
  const flushed = (stream: NodeJS.WriteStream) =>
    new Promise<void>((resolve) => void stream.write("", () => resolve()));
  return {
    async ended() {
      await flushed(stdout);
      if (failure !== undefined)
        stderr.write(`etcd-backup: the result could not be written: ${failure.code ?? failure.message}\n`);
      await flushed(stderr);
      return failure === undefined;
    },
  };
}

function report(error: OperatorError, { stderr }: Context, withStack: boolean): void {
  stderr.write(`etcd-backup: ${error.message}\n`);
  if (error.hint !== undefined) stderr.write(`  hint: ${error.hint}\n`);
  if (withStack)
    stderr.write(
      `${error.stack ?? ""}\n${error.cause instanceof Error ? `caused by ${error.cause.stack ?? error.cause.message}\n` : ""}`,
    );
}

function build(context: Context): Command {
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
    .addOption(clusterName("the cluster's name in the store"))
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
    .addOption(clusterName("only this cluster"))
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
      "1000000000",
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
      (await import("../jobs/fetch-step.ts")).fetchStep(command.optsWithGlobals(), context),
    );
  step("place")
    .requiredOption("--member <name>")
    .requiredOption("--token <token>")
    .action(async (_flags, command: Command) =>
      (await import("../jobs/fetch-step.ts")).placeStep(command.optsWithGlobals(), context),
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
      (await import("../operator/run.ts")).operator(command.optsWithGlobals(), context),
    );
}

/** Commander copies settings to subcommands only where `command()` makes them. */
function verb(program: Command, name: string, description: string): Command {
  return program.command(name).description(description);
}

function outputFormat(): Option {
  return new Option("-o, --output <format>", "how to print the result")
    .choices(["table", "json", "yaml"])
    .default("table");
}

/** An option that an environment variable may give as well; help names the variable and never shows its value. */
function fromEnv(flags: string, description: string, variable: string): Option {
  return new Option(flags, description).env(variable);
}

/** etcdctl's flags and environment. */
function withEtcd(command: Command): Command {
  return command
    .addOption(
      fromEnv(
        "--endpoints <urls>",
        "client URLs, separated by commas; the others are found through the member list",
        "ETCDCTL_ENDPOINTS",
      ),
    )
    .addOption(fromEnv("--cacert <file>", "CA that signed the members' certificates", "ETCDCTL_CACERT"))
    .addOption(fromEnv("--cert <file>", "client certificate", "ETCDCTL_CERT"))
    .addOption(fromEnv("--key <file>", "key of the client certificate", "ETCDCTL_KEY"))
    .option("--server-name <name>", "the name to expect in the members' certificates")
    .addOption(fromEnv("--user <name[:password]>", "etcd user", "ETCDCTL_USER"))
    .addOption(
      fromEnv(
        "--password <password>",
        "better given by the variable: command lines are public",
        "ETCDCTL_PASSWORD",
      ),
    )
    .addOption(
      fromEnv(
        "--command-timeout <duration>",
        "for each call to a member, such as 5s or 1m",
        "ETCDCTL_COMMAND_TIMEOUT",
      ).default("5s"),
    )
    .addOption(
      new Option("--prefer <role>", "which kind of member to read from")
        .choices(["follower", "leader", "any"])
        .default("follower"),
    )
    .option("--member <name>", "read from this member, by name or ID, whatever its lag")
    .option("--max-lag <entries>", "refuse a member further behind the leader than this", "1000")
    .option("--allow-without-quorum", "take the last snapshot of a cluster that has lost its quorum");
}

function clusterName(description: string): Option {
  return fromEnv("--cluster-name <name>", description, "ETCD_BACKUP_CLUSTER_NAME");
}

function withStore(command: Command): Command {
  return command.addOption(
    fromEnv(
      "--store <url>",
      "s3://bucket/prefix?endpoint=…&region=…&pathStyle=true, or file:///dir",
      "ETCD_BACKUP_STORE",
    ),
  );
}

function withBackup(command: Command): Command {
  return withStore(
    command.argument("<backup>", "name of a backup in --store, `latest`, a backup's URL, or a file"),
  ).addOption(clusterName("the cluster the backup belongs to"));
}

const restoreHelp = `
Run it once for each member, with the same backup and token, or once with --all-members. Everything is verified before
the data directory is given its place; a failed run leaves it as it was. Never restore a single member into a cluster
that still has its quorum: remove it and add it again.`;

const totalKeysHelp = `
TOTAL KEYS is what the etcdutl of the etcd minor that made the snapshot prints: up to 3.5 the key-value pairs of all
buckets, from 3.6 the live user keys. -o json and the manifest carry both, as pairs and liveKeys.`;
