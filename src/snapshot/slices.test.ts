import assert from "node:assert/strict";
import { test } from "node:test";
import { runAtOnce, runInSlices } from "./slices.ts";

test("steps in slices let the event loop run before their end", async () => {
  const turn = { ran: false };
  setImmediate(() => {
    turn.ran = true;
  });
  function* untilRan(): Generator<void, string> {
    while (!turn.ran) yield;
    return "done";
  }
  assert.equal(await runInSlices(untilRan()), "done");
});

test("steps end when the signal fires between two slices", async () => {
  const stop = new AbortController();
  setImmediate(() => stop.abort(new Error("no longer wanted")));
  function* endless(): Generator<void, never> {
    for (;;) yield;
  }
  await assert.rejects(runInSlices(endless(), stop.signal), { message: "no longer wanted" });
});

test("steps at once give their result", () => {
  function* three(): Generator<void, number> {
    yield;
    yield;
    return 3;
  }
  assert.equal(runAtOnce(three()), 3);
});
