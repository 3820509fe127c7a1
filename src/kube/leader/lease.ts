import { type KubeObject, type ResourceKind, microTime } from "../objects.ts";

/** The fields of a coordination.k8s.io/v1 Lease that an election needs. */
export interface Lease extends KubeObject {
  spec?: {
    holderIdentity?: string;
    /** Seconds for which the holder may act after a renewal. */
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

/** How long a holder may act and how often it renews. Milliseconds. */
export interface LeaseTimings {
  /** Candidates wait for this time after they have seen the holder renew. */
  durationMs: number;
  /** The holder stops by itself after this time from the start of its last renewal, well before another may begin. */
  workMs: number;
  /** Between two renewals of the holder, and between two attempts of a candidate. */
  retryMs: number;
  /** For one request: a second request still has its time before the holder has to stop. */
  requestMs: number;
}

export function leaseTimings(durationMs: number): LeaseTimings {
  const share = (part: number) => Math.floor(durationMs * part);
  return { durationMs, workMs: share(2 / 3), retryMs: share(1 / 15), requestMs: share(1 / 4) };
}

/**
 * A Lease, and for how many milliseconds it has not changed by this process's clock; the holder's clock is not used.
 */
export interface ObservedLease {
  lease: Lease | undefined;
  unchangedMs: number;
}

export type LeaseDecision =
  | { do: "create" }
  | { do: "renew" }
  | { do: "takeOver"; from: string }
  | { do: "wait"; holder: string };

/** What candidate `identity` does with the Lease. It never takes the Lease from a holder that may still act. */
export function decideLease(
  { lease, unchangedMs }: ObservedLease,
  { identity, durationMs }: { identity: string; durationMs: number },
): LeaseDecision {
  if (lease === undefined) return { do: "create" };
  const { holderIdentity: holder = "", leaseDurationSeconds = 0 } = lease.spec ?? {};
  if (holder === identity) return { do: "renew" };
  const holderMs = leaseDurationSeconds > 0 ? leaseDurationSeconds * 1000 : durationMs;
  if (holder === "" || unchangedMs >= holderMs) return { do: "takeOver", from: holder };
  return { do: "wait", holder };
}

/** The spec of the Lease with `identity` as its holder from now on. */
export function heldLease(
  before: Lease["spec"],
  { identity, durationMs, now }: { identity: string; durationMs: number; now: Date },
): NonNullable<Lease["spec"]> {
  const isHolder = before?.holderIdentity === identity;
  const transitions = before?.leaseTransitions ?? 0;
  return {
    holderIdentity: identity,
    leaseDurationSeconds: Math.ceil(durationMs / 1000),
    acquireTime: (isHolder ? before.acquireTime : undefined) ?? microTime(now),
    renewTime: microTime(now),
    leaseTransitions: isHolder || before === undefined ? transitions : transitions + 1,
  };
}

/** The spec of the released Lease: a candidate may take it at its next attempt. */
export function releasedLease(before: Lease["spec"], now: Date): NonNullable<Lease["spec"]> {
  return { ...before, holderIdentity: "", leaseDurationSeconds: 1, renewTime: microTime(now) };
}
