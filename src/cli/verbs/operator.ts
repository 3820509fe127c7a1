import type { Command } from "commander";
import type { Context } from "../context.ts";
import { fromEnv, verb } from "../options.ts";

export function addOperator(program: Command, context: Context): void {
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
      (await import("../commands/operator.ts")).operator(command.optsWithGlobals(), context),
    );
}
