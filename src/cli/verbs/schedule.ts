import type { Command } from "commander";
import type { Context } from "../context.ts";
import { outputFormat, verb } from "../options.ts";

/** The verbs for EtcdBackupSchedules. They need an API server. */
export function addScheduleVerbs(program: Command, context: Context): void {
  verb(program, "trigger", "make one more backup of an EtcdBackupSchedule, at once")
    .argument("<schedule>", "name of the EtcdBackupSchedule")
    .option("-n, --namespace <name>", "its namespace (default: that of the kubeconfig's context)")
    .option("--kubeconfig <file>", "kubeconfig file (default: KUBECONFIG, or ~/.kube/config)")
    .option("--wait", "wait until the backup has ended; exit code 0 only if it succeeded")
    .option("--timeout <duration>", "time limit of --wait, such as 10m or 1h", "1h")
    .addOption(outputFormat())
    .addHelpText("after", triggerHelp)
    .action(async (schedule: string, _flags, command: Command) =>
      (await import("../commands/trigger.ts")).trigger(schedule, command.optsWithGlobals(), context),
    );
}

const triggerHelp = `
It sets the annotation etcdbackup.dev/trigger, and the operator creates the
EtcdBackup. While a backup of the schedule runs, this one begins after it.
A link to this program named kubectl-etcd_backup in PATH makes it a plugin:
kubectl etcd-backup trigger <schedule>.`;
