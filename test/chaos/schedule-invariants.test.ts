import assert from "node:assert/strict";
import { test } from "node:test";
import { runTwice } from "./schedule-invariants.ts";

const run = { schedule: "minutely", life: "1", cause: "2026-08-20T12:00:00Z" };

test("a time runs twice when two EtcdBackups were created for it in one life of one schedule", () => {
  const once = new Map([
    ["a", run],
    ["b", { ...run, cause: "2026-08-20T12:01:00Z" }],
    ["c", { ...run, life: "2" }],
    ["d", { ...run, schedule: "other" }],
  ]);
  assert.deepEqual(runTwice(once), []);
  assert.deepEqual(runTwice(new Map([...once, ["e", run]])), [
    "minutely (life 1), 2026-08-20T12:00:00Z: EtcdBackups a, e",
  ]);
});
