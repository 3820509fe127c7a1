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
  ObservedJob,
  ObservedMember,
  ObservedRestore,
  ObservedWork,
} from "../../core/restore/decide.ts";
import type { RestorePass, TargetKind } from "./context.ts";

/** Exit codes of this program that mean: trying the same thing again cannot help. */
const permanentExits = new Set([2, 3, 4]);

/** Everything that the decision rests on, read now. What a later step would need is not asked for. */
export async function observe(pass: RestorePass): Promise<ObservedRestore> {
  const { restore } = pass;
  const { status } = restore;
  const restoring = status.verifiedTime !== undefined && status.restoredTime === undefined;
  const starting = status.restoredTime !== undefined && status.runningTime === undefined;
  return {
    restore,
    work: workOf(pass),
    members: restoring ? await members(pass) : [],
    cluster: starting ? await cluster(pass) : { exists: "none", readyMembers: 0 },
  };
}

function workOf({ runs, key, restore }: RestorePass): ObservedWork {
  const run = runs.view(key, restore.metadata.uid);
  switch (run.state) {
    case "none":
    case "succeeded":
      return { state: run.state };
    case "reserved":
    case "running":
      return { state: "running" };
    case "failed":
      return { state: "failed", error: run.error };
    default:
      return run satisfies never;
  }
}

async function members(pass: RestorePass): Promise<ObservedMember[]> {
  const { restore } = pass;
  const { replicas } = restore.spec.target.cluster;
  const all = Array.from({ length: replicas }, async (_, index): Promise<ObservedMember> => {
    const volume = await find(pass, "PersistentVolumeClaim", volumeName(restore, index));
    return {
      index,
      volume: volume === undefined ? "missing" : isOurs(volume, restore) ? "ours" : "foreign",
      job: await job(pass, index),
    };
  });
  return Promise.all(all);
}

/** The Job of the latest attempt: status may not have heard of it yet. */
async function job(pass: RestorePass, index: number): Promise<ObservedJob> {
  const { restore, resources, signal } = pass;
  const known = restore.status.members?.[index];
  if (known?.phase === "Restored") return { state: "succeeded", attempt: known.attempts };
  const first = Math.max(1, known?.attempts ?? 0);
  for (const attempt of [first + 1, first]) {
    const name = jobName(restore, index, attempt);
    const found = await find(pass, "Job", name);
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
        lastWords: container === "" ? words : `${container}: ${words}`,
        permanent: permanentExits.has(exitCode) && container !== "restore",
      };
    }
    return { state: "running", attempt, ...(pod?.waitsFor === undefined ? {} : { waitsFor: pod.waitsFor }) };
  }
  return { state: "none" };
}

async function cluster(pass: RestorePass): Promise<ObservedRestore["cluster"]> {
  const { restore, resources, signal } = pass;
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
    const found = await find(pass, kind, object);
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

function find({ resources, restore, signal }: RestorePass, kind: TargetKind, name: string) {
  return resources.find(kind, { namespace: restore.metadata.namespace ?? "default", name }, signal);
}

function isOurs(
  { labels }: { labels: Readonly<Record<string, string>> },
  { metadata }: EtcdRestore,
): boolean {
  return labels[restoreLabel] === metadata.uid;
}
