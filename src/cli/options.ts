import { type Command, Option } from "commander";

/** Commander copies settings to subcommands only where `command()` makes them. */
export function verb(program: Command, name: string, description: string): Command {
  return program.command(name).description(description);
}

export function outputFormat(): Option {
  return new Option("-o, --output <format>", "format of the result on stdout")
    .choices(["table", "json", "yaml"])
    .default("table");
}

/** An option that an environment variable sets as well. Help names the variable and never shows its value. */
export function fromEnv(flags: string, description: string, variable: string): Option {
  return new Option(flags, description).env(variable);
}

/** etcdctl's flags and variables, and those that choose a member. */
export function withEtcd(command: Command): Command {
  return withMemberChoice(withEtcdAccess(command));
}

/** etcdctl's flags and variables. */
export function withEtcdAccess(command: Command): Command {
  return command
    .addOption(
      fromEnv(
        "--endpoints <urls>",
        "client URLs of members, separated by commas; the member list adds the other members",
        "ETCDCTL_ENDPOINTS",
      ),
    )
    .addOption(
      fromEnv(
        "--cacert <file>",
        "CA certificates (PEM) that have signed the members' certificates",
        "ETCDCTL_CACERT",
      ),
    )
    .addOption(fromEnv("--cert <file>", "client certificate (PEM)", "ETCDCTL_CERT"))
    .addOption(fromEnv("--key <file>", "private key of the client certificate (PEM)", "ETCDCTL_KEY"))
    .option(
      "--server-name <name>",
      "name that the members' certificates must have (default: the host of the client URL)",
    )
    .addOption(fromEnv("--user <name[:password]>", "etcd user to log in as", "ETCDCTL_USER"))
    .addOption(
      fromEnv(
        "--password <password>",
        "password of the etcd user; other users of this host can read a command line, so set the variable instead",
        "ETCDCTL_PASSWORD",
      ),
    )
    .addOption(
      fromEnv(
        "--command-timeout <duration>",
        "time limit of each call to a member, such as 500ms, 5s or 1m",
        "ETCDCTL_COMMAND_TIMEOUT",
      ).default("5s"),
    );
}

function withMemberChoice(command: Command): Command {
  return command
    .addOption(
      new Option("--prefer <role>", "role of the member to read from, where several are usable")
        .choices(["follower", "leader", "any"])
        .default("follower"),
    )
    .option("--member <name>", "read from the member with this name or ID, even if it lags")
    .option(
      "--max-lag <entries>",
      "most raft entries by which a usable member may lag behind the leader",
      "1000",
    )
    .option(
      "--allow-without-quorum",
      "allow a snapshot of a cluster that has lost its quorum; the newest writes may be missing",
    );
}

export function clusterNameOption(description: string): Option {
  return fromEnv("--cluster-name <name>", description, "ETCD_BACKUP_CLUSTER_NAME");
}

export function withStore(command: Command): Command {
  return command.addOption(
    fromEnv(
      "--store <url>",
      "s3://bucket/prefix or file:///dir; settings of S3 follow the prefix: ?endpoint=…&region=…&pathStyle=true",
      "ETCD_BACKUP_STORE",
    ),
  );
}

export function withBackup(command: Command): Command {
  return withStore(
    command.argument(
      "<backup>",
      "name of a backup in --store, `latest` for the newest one, URL of a backup, or path of a snapshot file",
    ),
  ).addOption(clusterNameOption("cluster of the backup, where the store holds several clusters"));
}
