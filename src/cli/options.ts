import { type Command, Option } from "commander";

/** Commander copies settings to subcommands only where `command()` makes them. */
export function verb(program: Command, name: string, description: string): Command {
  return program.command(name).description(description);
}

export function outputFormat(): Option {
  return new Option("-o, --output <format>", "how to print the result")
    .choices(["table", "json", "yaml"])
    .default("table");
}

/** An option that an environment variable may give as well; help names the variable and never shows its value. */
export function fromEnv(flags: string, description: string, variable: string): Option {
  return new Option(flags, description).env(variable);
}

/** etcdctl's flags and environment. */
export function withEtcd(command: Command): Command {
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

export function clusterNameOption(description: string): Option {
  return fromEnv("--cluster-name <name>", description, "ETCD_BACKUP_CLUSTER_NAME");
}

export function withStore(command: Command): Command {
  return command.addOption(
    fromEnv(
      "--store <url>",
      "s3://bucket/prefix?endpoint=…&region=…&pathStyle=true, or file:///dir",
      "ETCD_BACKUP_STORE",
    ),
  );
}

export function withBackup(command: Command): Command {
  return withStore(
    command.argument("<backup>", "name of a backup in --store, `latest`, a backup's URL, or a file"),
  ).addOption(clusterNameOption("the cluster the backup belongs to"));
}
