import assert from "node:assert/strict";
import { test } from "node:test";
import { runChaos } from "./run.ts";

const seconds = 45;
const seed = Number(process.env["CHAOS_SEED"] ?? Math.floor(Date.now() / 1000));

test(`the invariants hold under random faults for ${seconds} s (seed ${seed})`, async (t) => {
  const result = await runChaos({ seed, seconds, log: (line) => t.diagnostic(line) });
  t.diagnostic(JSON.stringify({ seed, ...result }));
  assert.ok(result.rounds > 0 && Object.keys(result.faults).length > 0);
});
