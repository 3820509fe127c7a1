import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Condition } from "../api/v1alpha1/conditions.ts";
import { conditionStatus, runConditions, setCondition, wholeSeconds } from "./conditions.ts";

const early = new Date("2026-08-20T12:00:00.999Z");
const late = new Date("2026-08-20T12:05:00Z");
const ready = { type: "Ready", status: "True", reason: "Reachable", message: "answers" } as const;

const outcome = fc.constantFrom("InProgress" as const, "Succeeded" as const, "Failed" as const);
const word = fc.stringMatching(/^[A-Z][a-z]{1,8}$/);
const change = fc.record({ outcome, reason: word, message: fc.string(), generation: fc.nat({ max: 5 }) });

const table = (conditions: readonly Condition[]) =>
  Object.fromEntries(conditions.map(({ type, status }) => [type, status]));

test("a new condition has a transition time of whole seconds", () => {
  assert.deepEqual(setCondition([], ready, { generation: 3, now: early }), [
    { ...ready, observedGeneration: 3, lastTransitionTime: "2026-08-20T12:00:00Z" },
  ]);
});

test("a new reason changes reason, message and generation, but not the transition time", () => {
  const before = setCondition([], ready, { generation: 1, now: early });
  const after = setCondition(
    before,
    { ...ready, reason: "ReadOnly", message: "reads" },
    { generation: 2, now: late },
  );
  assert.deepEqual(after, [
    {
      ...ready,
      reason: "ReadOnly",
      message: "reads",
      observedGeneration: 2,
      lastTransitionTime: "2026-08-20T12:00:00Z",
    },
  ]);
});

test("a new status moves the transition time", () => {
  const before = setCondition([], ready, { generation: 1, now: early });
  const [after] = setCondition(before, { ...ready, status: "False" }, { generation: 1, now: late });
  assert.equal(after?.lastTransitionTime, "2026-08-20T12:05:00Z");
});

test("the other conditions and the given list stay unchanged", () => {
  const foreign = setCondition([], { ...ready, type: "Foreign" }, { generation: 1, now: early });
  const both = setCondition(foreign, ready, { generation: 1, now: early });
  const frozen = structuredClone(both);
  const after = setCondition(both, { ...ready, status: "Unknown" }, { generation: 2, now: late });
  assert.deepEqual(both, frozen);
  assert.deepEqual(after[0], frozen[0]);
  assert.deepEqual(table(after), { Foreign: "True", Ready: "Unknown" });
});

test("a message is cut to the limit of the API server", () => {
  const [condition] = setCondition(
    [],
    { ...ready, message: "x".repeat(40_000) },
    { generation: 1, now: early },
  );
  assert.equal(condition?.message.length, 32_768);
});

for (const [name, expected] of [
  [
    "InProgress",
    { Finished: "False", Succeeded: "Unknown", Ready: "Unknown", Reconciling: "True", Stalled: "False" },
  ],
  [
    "Succeeded",
    { Finished: "True", Succeeded: "True", Ready: "True", Reconciling: "False", Stalled: "False" },
  ],
  ["Failed", { Finished: "True", Succeeded: "False", Ready: "False", Reconciling: "False", Stalled: "True" }],
] as const) {
  test(`the outcome ${name} sets all five conditions`, () => {
    const why = { reason: "Because", message: "it is so" };
    const conditions = runConditions([], name, why, { generation: 1, now: early });
    assert.deepEqual(table(conditions), expected);
    for (const { reason, message } of conditions) assert.deepEqual({ reason, message }, why);
  });
}

test("a transition time changes exactly when its status does, in any sequence of changes", () => {
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 12 }), (changes) => {
      let conditions: Condition[] = [];
      for (const [minute, { outcome, reason, message, generation }] of changes.entries()) {
        const now = new Date(early.getTime() + minute * 60_000);
        const next = runConditions(conditions, outcome, { reason, message }, { generation, now });
        assert.deepEqual(next.map((c) => c.type).toSorted(), [
          "Finished",
          "Ready",
          "Reconciling",
          "Stalled",
          "Succeeded",
        ]);
        for (const condition of next) {
          const before = conditions.find((c) => c.type === condition.type);
          const expected =
            before?.status === condition.status ? before.lastTransitionTime : wholeSeconds(now);
          assert.equal(condition.lastTransitionTime, expected);
          assert.equal(condition.observedGeneration, generation);
        }
        conditions = next;
      }
    }),
  );
});

test("the status of a condition is found by its type, and is undefined without such a condition", () => {
  const conditions = setCondition([], ready, { generation: 1, now: early });
  assert.equal(conditionStatus(conditions, "Ready"), "True");
  assert.equal(conditionStatus(conditions, "Stalled"), undefined);
  assert.equal(conditionStatus(undefined, "Ready"), undefined);
});
