import type { KubeObject, ResourceKind } from "../objects.ts";

/** coordination.k8s.io/v1, as far as an election needs it. */
export interface Lease extends KubeObject {
  spec?: {
    holderIdentity?: string;
    /** Seconds for which the holder may act after it has renewed. */
    leaseDurationSeconds?: number;
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
}

export const leases: ResourceKind<Lease> = {
  group: "coordination.k8s.io",
  version: "v1",
  plural: "leases",
  kind: "Lease",
  namespaced: true,
};

/** How long a holder may act and how often it renews, in milliseconds. */
export interface LeaseTimings {
  /** Others wait for this long after they have seen the holder renew. */
  durationMs: number;
  /** The holder stops by itself this long after it last began to renew: well before others may start. */
  workMs: number;
  /** Between two renewals, and between two looks of one who waits. */
  retryMs: number;
  /** For one request: a second one still has its time before the work has to stop. */
  requestMs: number;
}

export function leaseTimings(durationMs: number): LeaseTimings {
  const share = (part: number) => Math.floor(durationMs * part);
  return { durationMs, workMs: share(2 / 3), retryMs: share(1 / 15), requestMs: share(1 / 4) };
}

/** A Lease and the milliseconds for which it has not changed, by the clock of who looks: never by the holder's. */
export interface LeaseSighting {
  lease: Lease | undefined;
  unchangedMs: number;
}

export type LeaseDecision =
  | { do: "create" }
  | { do: "renew" }
  | { do: "takeOver"; from: string }
  | { do: "wait"; holder: string };

/** What `identity` does about what it sees. Nobody takes from a holder that may still act. */
export function decideLease(
  { lease, unchangedMs }: LeaseSighting,
  { identity, durationMs }: { identity: string; durationMs: number },
): LeaseDecision {
  if (lease === undefined) return { do: "create" };
  const { holderIdentity: holder = "", leaseDurationSeconds = 0 } = lease.spec ?? {};
  if (holder === identity) return { do: "renew" };
  const promisedMs = leaseDurationSeconds > 0 ? leaseDurationSeconds * 1000 : durationMs;
  if (holder === "" || unchangedMs >= promisedMs) return { do: "takeOver", from: holder };
  return { do: "wait", holder };
}

/** The Lease as `identity` holds it from now on. */
export function heldLease(
  before: Lease["spec"],
  { identity, durationMs, now }: { identity: string; durationMs: number; now: Date },
): NonNullable<Lease["spec"]> {
  const mine = before?.holderIdentity === identity;
  const transitions = before?.leaseTransitions ?? 0;
  return {
    holderIdentity: identity,
    leaseDurationSeconds: Math.ceil(durationMs / 1000),
    acquireTime: (mine ? before.acquireTime : undefined) ?? microTime(now),
    renewTime: microTime(now),
    leaseTransitions: mine || before === undefined ? transitions : transitions + 1,
  };
}

/** The Lease given back: whoever waits may take it at its next look. */
export function releasedLease(before: Lease["spec"], now: Date): NonNullable<Lease["spec"]> {
  return { ...before, holderIdentity: "", leaseDurationSeconds: 1, renewTime: microTime(now) };
}

/** metav1.MicroTime takes six digits of a second and no others. */
function microTime(time: Date): string {
  return time.toISOString().replace("Z", "000Z");
}
