import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { OperatorError, asOperatorError } from "../core/errors.ts";
import { hashPace } from "./hash-pace.ts";
import type { SaveStep } from "./progress.ts";

/** A pace of 1,000 bytes a second, on a clock that the test moves. */
function prepare(t: TestContext, maxRate: number | undefined = 1000) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const stop = new AbortController();
  const steps: SaveStep[] = [];
  const { signal } = stop;
  let now = 0;
  const pace = hashPace({ maxRate, signal, onStep: (step) => steps.push(step), clock: () => now });
  return {
    stop,
    steps,
    pace,
    async pass(ms: number) {
      now += ms;
      t.mock.timers.tick(ms);
      await settled();
    },
  };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  await settled();
  return (await Promise.race([promise, Promise.resolve("pending")])) === "pending";
}

test("the first member is asked at once, and each other one when the rate allows it", async (t) => {
  const bench = prepare(t);
  await bench.pace("a", 5000);
  await bench.pass(2000);
  const second = bench.pace("b", 1000);
  await bench.pass(2999);
  assert.equal(await isPending(second), true);
  await bench.pass(1);
  assert.equal(await isPending(second), false);
  assert.deepEqual(bench.steps, [{ step: "HashPause", member: "b", ms: 3000 }]);
  await bench.pass(1000);
  await bench.pace("c", 1);
  assert.equal(bench.steps.length, 1, "a call that took long enough is followed by no pause");
});

test("an abort ends the pause with its reason", async (t) => {
  const bench = prepare(t);
  await bench.pace("a", 5000);
  const second = bench.pace("b", 5000);
  await settled();
  bench.stop.abort(new OperatorError("Aborted", "stopped by Ctrl-C"));
  const error = await second.catch((thrown: unknown) => asOperatorError(thrown));
  assert.equal(error?.message, "stopped by Ctrl-C");
});

test("without a rate no member waits", async () => {
  const pace = hashPace({ signal: new AbortController().signal });
  await pace("a", 2 ** 40);
  await pace("b", 2 ** 40);
});
