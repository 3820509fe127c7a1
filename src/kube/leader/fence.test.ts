import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { Fence } from "./fence.ts";

/** A fence whose clock and timers move together, unless a test moves one of them alone. */
function prepare(t: TestContext, until: number) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let now = 0;
  const fence = new Fence({ until, clock: { now: () => now } });
  return {
    fence,
    pass(ms: number) {
      now += ms;
      t.mock.timers.tick(ms);
    },
    /** The process is stopped: the clock moves, and no timer fires. */
    freeze(ms: number) {
      now += ms;
    },
  };
}

const open = (fence: Fence) => {
  try {
    fence.check();
    return true;
  } catch {
    return false;
  }
};

test("a fence is open until its deadline, then closes by itself", (t) => {
  const { fence, pass } = prepare(t, 1_000);
  pass(999);
  assert.deepEqual([open(fence), fence.signal.aborted], [true, false]);
  pass(1);
  assert.deepEqual([fence.signal.aborted, open(fence)], [true, false]);
  assert.equal(fence.closedWhy, "the Lease could not be renewed in time");
});

test("a process that was stopped beyond the deadline finds the fence closed before any timer has fired", (t) => {
  const { fence, freeze } = prepare(t, 1_000);
  freeze(1_000);
  assert.equal(fence.signal.aborted, false, "no timer has fired yet");
  assert.throws(() => fence.check(), { code: "Aborted" });
  assert.equal(fence.signal.aborted, true, "and the signal fires");
});

test("a later deadline keeps it open, and an earlier one does not shorten it", (t) => {
  const { fence, pass } = prepare(t, 1_000);
  pass(900);
  fence.extend(2_000);
  fence.extend(1_500);
  pass(1_099);
  assert.equal(open(fence), true);
  pass(1);
  assert.equal(open(fence), false);
});

test("an extension after the deadline does not open it again", (t) => {
  const { fence, freeze } = prepare(t, 1_000);
  freeze(1_001);
  assert.throws(() => fence.extend(5_000), { code: "Aborted" });
  assert.equal(open(fence), false);
});

test("a timer that fires early does not close it", (t) => {
  const { fence } = prepare(t, 1_000);
  t.mock.timers.tick(5_000);
  assert.deepEqual([fence.signal.aborted, open(fence)], [false, true]);
});

test("the signal carries the reason of closing", async (t) => {
  const { fence } = prepare(t, Number.POSITIVE_INFINITY);
  const closed = once(fence.signal, "abort");
  fence.close("taken over by b");
  await closed;
  assert.match(String(fence.signal.reason), /taken over by b/);
  assert.equal(fence.closedWhy, "taken over by b");
});
