import assert from "node:assert/strict";
import { test } from "node:test";
import { type Lease, decideLease, heldLease, leaseTimings, releasedLease } from "./lease.ts";

const now = new Date("2026-11-23T10:00:00.123Z");
const me = { identity: "me", durationMs: 30_000 };

function lease(spec: Lease["spec"]): Lease {
  return {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name: "l", uid: "u", resourceVersion: "1" } as Lease["metadata"],
    ...(spec === undefined ? {} : { spec }),
  };
}

test("a Lease that does not exist is created", () => {
  assert.deepEqual(decideLease({ lease: undefined, unchangedMs: 0 }, me), { do: "create" });
});

test("a Lease is not taken from a holder that may still act, even when its clock shows an old renewal", () => {
  const other = lease({
    holderIdentity: "other",
    leaseDurationSeconds: 30,
    renewTime: "2001-01-01T00:00:00.000000Z",
  });
  assert.deepEqual(decideLease({ lease: other, unchangedMs: 29_999 }, me), { do: "wait", holder: "other" });
  assert.deepEqual(decideLease({ lease: other, unchangedMs: 30_000 }, me), { do: "takeOver", from: "other" });
});

test("the duration in the Lease counts, not that of the candidate", () => {
  const patient = lease({ holderIdentity: "other", leaseDurationSeconds: 60 });
  assert.equal(decideLease({ lease: patient, unchangedMs: 59_999 }, me).do, "wait");
  const silent = lease({ holderIdentity: "other" });
  assert.equal(decideLease({ lease: silent, unchangedMs: 29_999 }, me).do, "wait");
  assert.equal(decideLease({ lease: silent, unchangedMs: 30_000 }, me).do, "takeOver");
});

test("a Lease that was released, or never had a holder, is taken at once", () => {
  const held = heldLease(undefined, { identity: "other", durationMs: 30_000, now });
  assert.equal(decideLease({ lease: lease(releasedLease(held, now)), unchangedMs: 0 }, me).do, "takeOver");
  assert.equal(decideLease({ lease: lease(undefined), unchangedMs: 0 }, me).do, "takeOver");
});

test("the holder renews its own Lease at any age", () => {
  const mine = lease(heldLease(undefined, { ...me, now }));
  assert.deepEqual(decideLease({ lease: mine, unchangedMs: 1e9 }, me), { do: "renew" });
});

test("a renewal keeps acquireTime; a takeover counts a transition", () => {
  const first = heldLease(undefined, { ...me, now });
  assert.deepEqual(first, {
    holderIdentity: "me",
    leaseDurationSeconds: 30,
    acquireTime: "2026-11-23T10:00:00.123000Z",
    renewTime: "2026-11-23T10:00:00.123000Z",
    leaseTransitions: 0,
  });
  const later = new Date("2026-11-23T10:00:05.000Z");
  const renewed = heldLease(first, { ...me, now: later });
  assert.deepEqual(renewed, { ...first, renewTime: "2026-11-23T10:00:05.000000Z" });
  const taken = heldLease(renewed, { identity: "you", durationMs: 30_000, now: later });
  assert.deepEqual([taken.acquireTime, taken.leaseTransitions], ["2026-11-23T10:00:05.000000Z", 1]);
});

test("the holder stops well before another may begin, with time for several renewals", () => {
  for (const durationMs of [3_000, 15_000, 30_000, 31_000]) {
    const { workMs, retryMs, requestMs } = leaseTimings(durationMs);
    assert.ok(durationMs - workMs >= durationMs / 3, "a third for stopping");
    assert.ok(2 * (retryMs + requestMs) < workMs, "a renewal may fail");
    assert.ok([workMs, retryMs, requestMs].every(Number.isInteger), "timers take whole milliseconds");
  }
});
