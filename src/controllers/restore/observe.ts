import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import {
  clientServiceName,
  jobName,
  memberLabels,
  peerServiceName,
  restoreLabel,
  volumeName,
} from "../../core/restore/names.ts";
import type {
  ObservedCluster,
  ObservedJob,
  ObservedRestore,
  RestoredMember,
} from "../../core/restore/observed.ts";
import type { RestoreContext, TargetKind } from "./context.ts";

/** Exit codes of this program that mean: trying again cannot help. */
const permanentExits = new Set([2, 3, 4]);

/** Reads what the decision about the present step rests on, and no more. */
export async function observe(context: RestoreContext): Promise<ObservedRestore> {
  const { restore } = context;
  const { status } = restore;
  const restoring = status.verifiedTime !== undefined && status.restoredTime === undefined;
  const starting = status.restoredTime !== undefined && status.runningTime === undefined;
  return {
    restore,
    work: context.runs.view(context.key, restore.metadata.uid),
    members: restoring ? await members(context) : [],
    cluster: starting ? await cluster(context) : { exists: "none", readyMembers: 0 },
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

/** The Job of the latest attempt, which status may not name yet. */
async function job(context: RestoreContext, index: number): Promise<ObservedJob> {
  const { restore, resources, signal } = context;
  const known = restore.status.members?.[index];
  if (known?.phase === "Restored") return { state: "succeeded", attempt: known.attempts };
  const first = Math.max(1, known?.attempts ?? 0);
  for (const attempt of [first + 1, first]) {
    const name = jobName(restore, index, attempt);
    const found = await find(context, "Job", name);
    if (found === undefined) continue;
    if (!isOurs(found, restore)) return { state: "foreign", name };
    if (found.succeeded > 0) return { state: "succeeded", attempt };
    const namespace = restore.metadata.namespace ?? "default";
    const [pod] = await resources.pods(namespace, { "job-name": name }, signal);
    if (found.failed > 0) {
      const { container = "", exitCode = -1, words = "its Job failed" } = pod?.failure ?? {};
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
  const wanted: [TargetKind, string][] = [
    ["Service", peerServiceName(restore)],
    ["Service", clientServiceName(restore)],
    ["PodDisruptionBudget", name],
    ["StatefulSet", name],
  ];
  let ready = 0;
  let missing = false;
  for (const [kind, object] of wanted) {
    const found = await find(context, kind, object);
    if (found === undefined) missing = true;
    else if (!isOurs(found, restore))
      return { exists: "foreign", what: `${kind} ${object}`, readyMembers: 0 };
    else ready = found.readyReplicas;
  }
  if (missing) return { exists: "none", readyMembers: 0 };
  const pods = await resources.pods(restore.metadata.namespace ?? "default", memberLabels(restore), signal);
  const waits = pods.flatMap(({ waitsFor }) => waitsFor ?? []);
  return {
    exists: "ours",
    readyMembers: ready,
    ...(waits.length === 0 ? {} : { waitsFor: waits.join("; ") }),
  };
}

function find({ resources, restore, signal }: RestoreContext, kind: TargetKind, name: string) {
  return resources.find(kind, { namespace: restore.metadata.namespace ?? "default", name }, signal);
}

function isOurs(
  { labels }: { labels: Readonly<Record<string, string>> },
  { metadata }: EtcdRestore,
): boolean {
  return labels[restoreLabel] === metadata.uid;
}
