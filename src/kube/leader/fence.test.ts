import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { Fence } from "./fence.ts";

/** A clock and timers in step, until a test moves one of them alone. */
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
    /** The process is stopped: time goes by, and no timer fires. */
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

test("is open until its time is up, then closes by itself", (t) => {
  const { fence, pass } = prepare(t, 1_000);
  pass(999);
  assert.deepEqual([open(fence), fence.signal.aborted], [true, false]);
  pass(1);
  assert.deepEqual([fence.signal.aborted, open(fence)], [true, false]);
  assert.equal(fence.closedWhy, "the lease could not be renewed in time");
});

test("a process that was stopped finds it closed at its first act, before any timer has fired", (t) => {
  const { fence, freeze } = prepare(t, 1_000);
  freeze(1_000);
  assert.equal(fence.signal.aborted, false, "no timer has told yet");
  assert.throws(() => fence.check(), { code: "Aborted" });
  assert.equal(fence.signal.aborted, true, "and the work is told to stop");
});

test("more time keeps it open, and less does not shorten it", (t) => {
  const { fence, pass } = prepare(t, 1_000);
  pass(900);
  fence.extend(2_000);
  fence.extend(1_500);
  pass(1_099);
  assert.equal(open(fence), true);
  pass(1);
  assert.equal(open(fence), false);
});

test("an answer that comes too late does not open it again", (t) => {
  const { fence, freeze } = prepare(t, 1_000);
  freeze(1_001);
  assert.throws(() => fence.extend(5_000), { code: "Aborted" });
  assert.equal(open(fence), false);
});

test("a timer that fires early closes nothing", (t) => {
  const { fence } = prepare(t, 1_000);
  t.mock.timers.tick(5_000);
  assert.deepEqual([fence.signal.aborted, open(fence)], [false, true]);
});

test("what waits on the signal hears why it was closed", async (t) => {
  const { fence } = prepare(t, Number.POSITIVE_INFINITY);
  const closed = once(fence.signal, "abort");
  fence.close("taken over by b");
  await closed;
  assert.match(String(fence.signal.reason), /taken over by b/);
  assert.equal(fence.closedWhy, "taken over by b");
});
