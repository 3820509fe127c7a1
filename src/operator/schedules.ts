import { type EtcdBackup, etcdBackupDefinition } from "../api/v1alpha1/etcd-backup.ts";
import { etcdBackupScheduleDefinition } from "../api/v1alpha1/etcd-backup-schedule.ts";
import { conditionStatus, isFinished } from "../core/conditions.ts";
import { OperatorError } from "../core/errors.ts";
import { childName, triggerAnnotation } from "../core/schedule/child.ts";
import { connect } from "../kube/client.ts";
import { customResource } from "../kube/objects.ts";

const backupKind = customResource(etcdBackupDefinition);
const scheduleKind = customResource(etcdBackupScheduleDefinition);

/** One more backup of a schedule, and what is known of it. */
export interface Triggered {
  namespace: string;
  schedule: string;
  /** Name of the EtcdBackup, which the operator creates. */
  backup: string;
  /** Undefined until it has ended. */
  succeeded?: boolean;
  /** Why it failed, or what it does. */
  message?: string;
  stored?: { name: string; revision: number; size: string; duration: string };
}

export interface Schedules extends AsyncDisposable {
  /** Asks for one more backup. Throws NotFound when there is no such schedule. */
  trigger(name: string, token: string, signal: AbortSignal): Promise<Triggered>;
  look(triggered: Triggered, signal: AbortSignal): Promise<Triggered>;
}

/** The schedules of one namespace, for a command line: that of the flag, or of the kubeconfig's context. */
export async function openSchedules(options: {
  namespace?: string;
  kubeconfig?: string;
  env: Readonly<Record<string, string | undefined>>;
}): Promise<Schedules> {
  const { kubeconfig, env } = options;
  const client = await connect({ ...(kubeconfig === undefined ? {} : { kubeconfig }), env });
  const namespace = options.namespace ?? client.namespace;
  return {
    async trigger(name, token, signal) {
      if ((await client.get(scheduleKind, { namespace, name }, { signal })) === undefined)
        throw new OperatorError(
          "NotFound",
          `there is no EtcdBackupSchedule ${name} in namespace ${namespace}`,
          {
            hint: "see kubectl get etcdbackupschedules -A, and give the namespace with -n",
          },
        );
      const annotations = { [triggerAnnotation]: token };
      await client.patchMetadata(scheduleKind, { namespace, name }, { annotations }, { signal });
      return { namespace, schedule: name, backup: childName(name, { is: "trigger", token }) };
    },
    async look(triggered, signal) {
      const backup = await client.get(backupKind, { namespace, name: triggered.backup }, { signal });
      return backup === undefined ? triggered : { ...triggered, ...seen(backup) };
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

function seen(backup: EtcdBackup): Partial<Triggered> {
  const { artifact, snapshot, conditions, duration = "" } = backup.status;
  const message = conditions?.find(({ type }) => type === "Succeeded")?.message;
  const said = message === undefined ? {} : { message };
  if (!isFinished(backup)) return said;
  const succeeded = conditionStatus(conditions, "Succeeded") === "True";
  if (!succeeded || artifact === undefined || snapshot === undefined) return { succeeded, ...said };
  const { revision, size } = snapshot;
  return { succeeded, stored: { name: artifact.name, revision, size, duration } };
}
