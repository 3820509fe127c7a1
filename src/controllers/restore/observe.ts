import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import {
  clientServiceName,
  jobName,
  memberLabels,
  peerServiceName,
  restoreLabel,
  volumeName,
} from "../../core/restore/names.ts";
import { placedExitCode } from "../../core/restore/placed-exit-code.ts";
import type {
  ObservedCluster,
  ObservedJob,
  ObservedRestore,
  RestoredMember,
} from "../../core/restore/observed.ts";
import type { RestoreContext, TargetKind } from "./context.ts";

/** Exit codes of this program after which another attempt cannot succeed. */
const permanentExits = new Set([2, 3, 4]);

/** Reads the objects that the decision about the current step depends on, and no others. */
export async function observe(context: RestoreContext): Promise<ObservedRestore> {
  const { restore } = context;
  const { status } = restore;
  const restoring = status.verifiedTime !== undefined && status.restoredTime === undefined;
  const starting = status.restoredTime !== undefined && status.runningTime === undefined;
  return {
    restore,
    work: await context.runs.view(context.key, restore.metadata.uid),
    members: restoring ? await members(context) : [],
    cluster: starting ? await cluster(context) : { exists: "none", readyMembers: 0 },
    // Last, since another EtcdRestore may take a slot while the objects are read.
    ...context.admission.slotFor(context.key),
  };
}

async function members(context: RestoreContext): Promise<RestoredMember[]> {
  const { restore } = context;
  const { replicas } = restore.spec.target.cluster;
  const all = Array.from({ length: replicas }, async (_, index): Promise<RestoredMember> => {
    const volume = await find(context, "PersistentVolumeClaim", volumeName(restore, index));
    return {
      index,
      volume: volume === undefined ? "missing" : isOurs(volume, restore) ? "ours" : "foreign",
      job: await job(context, index),
    };
  });
  return Promise.all(all);
}

/** The Job of the latest attempt. A crash may have come between its creation and its record in status. */
async function job(context: RestoreContext, index: number): Promise<ObservedJob> {
  const { restore, resources, signal } = context;
  const recorded = restore.status.members?.[index];
  if (recorded?.phase === "Restored") return { state: "succeeded", attempt: recorded.attempts };
  const lastRecorded = Math.max(1, recorded?.attempts ?? 0);
  for (const attempt of [lastRecorded + 1, lastRecorded]) {
    const name = jobName(restore, index, attempt);
    const object = await find(context, "Job", name);
    if (object === undefined) continue;
    if (!isOurs(object, restore)) return { state: "foreign", name };
    if (object.succeeded > 0) return { state: "succeeded", attempt };
    const namespace = restore.metadata.namespace ?? "default";
    const [pod] = await resources.pods(namespace, { "job-name": name }, signal);
    if (object.failed > 0) {
      const { container = "", exitCode = -1, words = "its Job failed" } = pod?.failure ?? {};
      if (container === "fetch" && exitCode === placedExitCode) return { state: "succeeded", attempt };
      return {
        state: "failed",
        attempt,
        failure: container === "" ? words : `${container}: ${words}`,
        permanent: permanentExits.has(exitCode) && container !== "restore",
      };
    }
    return { state: "running", attempt, ...(pod?.waitsFor === undefined ? {} : { waitsFor: pod.waitsFor }) };
  }
  return { state: "none" };
}

async function cluster(context: RestoreContext): Promise<ObservedCluster> {
  const { restore, resources, signal } = context;
  const { name } = restore.spec.target.cluster;
  const names: [TargetKind, string][] = [
    ["Service", peerServiceName(restore)],
    ["Service", clientServiceName(restore)],
    ["PodDisruptionBudget", name],
    ["StatefulSet", name],
  ];
  let readyMembers = 0;
  let isIncomplete = false;
  for (const [kind, objectName] of names) {
    const object = await find(context, kind, objectName);
    if (object === undefined) isIncomplete = true;
    else if (!isOurs(object, restore))
      return { exists: "foreign", what: `${kind} ${objectName}`, readyMembers: 0 };
    else readyMembers = object.readyReplicas;
  }
  if (isIncomplete) return { exists: "none", readyMembers: 0 };
  const pods = await resources.pods(restore.metadata.namespace ?? "default", memberLabels(restore), signal);
  const waitReasons = pods.flatMap(({ waitsFor }) => waitsFor ?? []);
  return {
    exists: "ours",
    readyMembers,
    ...(waitReasons.length === 0 ? {} : { waitsFor: waitReasons.join("; ") }),
  };
}

function find({ resources, restore, signal }: RestoreContext, kind: TargetKind, name: string) {
  return resources.find(kind, { namespace: restore.metadata.namespace ?? "default", name }, signal);
}

/** Whether the object carries the label of this restore. */
function isOurs(
  { labels }: { labels: Readonly<Record<string, string>> },
  { metadata }: EtcdRestore,
): boolean {
  return labels[restoreLabel] === metadata.uid;
}
