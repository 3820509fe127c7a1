import type { RequestOptions } from "./request.ts";
import type { KubeClient } from "./client.ts";
import { OperatorError } from "../core/errors.ts";
import type { Draft, KubeObject, ObjectRef, ResourceKind } from "./objects.ts";

/** The fields of built-in kinds that a restore creates and reads again. */
export interface Workload extends KubeObject {
  spec?: Record<string, unknown>;
  status?: {
    /** Of a Job. */
    succeeded?: number;
    failed?: number;
    /** Of a StatefulSet. */
    readyReplicas?: number;
  };
}

const kinds = {
  PersistentVolumeClaim: { group: "", version: "v1", plural: "persistentvolumeclaims" },
  Service: { group: "", version: "v1", plural: "services" },
  Job: { group: "batch", version: "v1", plural: "jobs" },
  StatefulSet: { group: "apps", version: "v1", plural: "statefulsets" },
  PodDisruptionBudget: { group: "policy", version: "v1", plural: "poddisruptionbudgets" },
} as const;

export type WorkloadKind = keyof typeof kinds;

export function workload(kind: WorkloadKind): ResourceKind<Workload> {
  return { ...kinds[kind], kind, namespaced: true };
}

/** Creates the object; false when the name is taken. */
export async function createOnce<T extends KubeObject>(
  client: Pick<KubeClient, "create">,
  kind: ResourceKind<T>,
  draft: Draft<T>,
  options: RequestOptions,
): Promise<boolean> {
  try {
    await client.create(kind, draft, options);
    return true;
  } catch (error) {
    if (error instanceof OperatorError && error.code === "AlreadyExists") return false;
    throw error;
  }
}

interface ContainerStatus {
  name: string;
  state?: {
    waiting?: { reason?: string; message?: string };
    terminated?: { exitCode: number; reason?: string; message?: string };
  };
}

interface Pod extends KubeObject {
  status?: {
    phase?: string;
    reason?: string;
    message?: string;
    conditions?: { type: string; status: string; reason?: string; message?: string }[];
    initContainerStatuses?: ContainerStatus[];
    containerStatuses?: ContainerStatus[];
  };
}

const pods: ResourceKind<Pod> = { group: "", version: "v1", plural: "pods", kind: "Pod", namespaced: true };

/** What matters of a Pod while a restore waits for it. */
export interface PodSummary {
  name: string;
  ready: boolean;
  /**
   * `<pod>: <reason>` for a Pod that does not run yet: its image cannot be pulled, no node fits, a container crashes.
   */
  waitsFor?: string;
  /** The container that failed (empty when the Pod failed as a whole), its exit code, and its termination message. */
  failure?: { container: string; exitCode: number; words: string };
}

/** Pods with these labels that are not being deleted, by name. */
export async function podSummaries(
  client: Pick<KubeClient, "list">,
  at: { namespace: string; labels: Readonly<Record<string, string>> },
  options: RequestOptions,
): Promise<PodSummary[]> {
  const labelSelector = Object.entries(at.labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
  const { items } = await client.list(pods, { namespace: at.namespace, labelSelector, ...options });
  return items
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map(summaryOf)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function summaryOf({ metadata, status = {} }: Pod): PodSummary {
  const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  const ready = status.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") === true;
  const waitsFor = waitingReason(status, containers);
  const failure = failureOf(status, containers);
  return {
    name: metadata.name,
    ready,
    ...(waitsFor === undefined ? {} : { waitsFor: `${metadata.name}: ${waitsFor}` }),
    ...(failure === undefined ? {} : { failure }),
  };
}

/** Reasons that every container goes through at its start. */
const startReasons = new Set(["ContainerCreating", "PodInitializing"]);

function waitingReason(
  status: NonNullable<Pod["status"]>,
  containers: readonly ContainerStatus[],
): string | undefined {
  const unscheduled = status.conditions?.find(
    ({ type, status: is }) => type === "PodScheduled" && is === "False",
  );
  if (unscheduled !== undefined) return unscheduled.message ?? unscheduled.reason;
  for (const { name, state } of containers) {
    const { reason, message } = state?.waiting ?? {};
    if (reason !== undefined && !startReasons.has(reason))
      return `${name}: ${reason}${message === undefined ? "" : ` (${message})`}`;
  }
  return undefined;
}

function failureOf(
  status: NonNullable<Pod["status"]>,
  containers: readonly ContainerStatus[],
): PodSummary["failure"] {
  for (const { name, state } of containers) {
    const terminated = state?.terminated;
    if (terminated === undefined || terminated.exitCode === 0) continue;
    const { exitCode, message, reason } = terminated;
    return { container: name, exitCode, words: message?.trim() || reason || `exit code ${exitCode}` };
  }
  if (status.phase !== "Failed") return undefined;
  return { container: "", exitCode: -1, words: status.message ?? status.reason ?? "the Pod failed" };
}

/** Undefined when there is no such object. */
export async function findWorkload(
  client: Pick<KubeClient, "get">,
  kind: WorkloadKind,
  ref: ObjectRef,
  options: RequestOptions,
): Promise<Workload | undefined> {
  return client.get(workload(kind), ref, options);
}
