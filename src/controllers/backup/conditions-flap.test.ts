import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { EtcdBackup, EtcdBackupStatus } from "../../api/v1alpha1/etcd-backup.ts";
import type { Condition } from "../../api/v1alpha1/conditions.ts";
import { conditionStatus, wholeSeconds } from "../../core/conditions.ts";
import { backoffLimits, runEnds, story } from "./story.fixture.ts";
import { type Version, createWorld, live, settle } from "./world.fixture.ts";

const isFinished = ({ status }: EtcdBackup) => conditionStatus(status.conditions, "Finished") === "True";
const isDeleted = ({ metadata }: EtcdBackup) => metadata.deletionTimestamp !== undefined;

/** What an end leaves free to change: the generation that was seen. */
function withoutGenerations(whole: EtcdBackupStatus) {
  const { observedGeneration: _, conditions = [], ...status } = whole;
  return { ...status, conditions: conditions.map(({ observedGeneration: __, ...condition }) => condition) };
}

/** What deletion leaves free to change besides. */
function ofTheEnd({ conditions = [], ...status }: EtcdBackupStatus) {
  const kept = conditions.filter(({ type }) => type !== "Reconciling" && type !== "Stalled");
  return withoutGenerations({ ...status, conditions: kept });
}

function assertConditions(before: readonly Condition[], after: readonly Condition[], at: Date): void {
  const types = after.map(({ type }) => type);
  assert.equal(new Set(types).size, types.length, `each type once: ${types}`);
  for (const { type, status, lastTransitionTime } of before) {
    const next = after.find((condition) => condition.type === type);
    assert.ok(next, `${type} is gone`);
    const expected = next.status === status ? lastTransitionTime : wholeSeconds(at);
    assert.equal(next.lastTransitionTime, expected, `${type} from ${status} to ${next.status}`);
  }
}

function assertAttempts(before: number, after: number, by: Version["by"]): void {
  switch (by.who) {
    case "handBack":
      assert.ok(
        before === by.attempt && after === before - 1,
        `${by.attempt} is handed back, and ${before} becomes ${after}`,
      );
      return;
    case "controller":
      assert.ok(after === before || after === before + 1, `attempts from ${before} to ${after}`);
      return;
    case "begin":
    case "user":
      assert.equal(after, before);
      return;
    default:
      by satisfies never;
  }
}

function assertSuccession({ backup: before }: Version, { backup: after, by, at }: Version): void {
  assertConditions(before.status.conditions ?? [], after.status.conditions ?? [], at);
  assertAttempts(before.status.attempts ?? 0, after.status.attempts ?? 0, by);
  if (!isFinished(before)) return;
  assert.ok(isFinished(after), "Finished goes back");
  if (isDeleted(after)) assert.deepEqual(ofTheEnd(after.status), ofTheEnd(before.status));
  else assert.deepEqual(withoutGenerations(after.status), withoutGenerations(before.status));
}

/** The statuses that a condition went through, one after the other; a status that stays counts once. */
function path(history: readonly Version[], type: string): string[] {
  const all = history.flatMap(({ backup }) => conditionStatus(backup.status.conditions, type) ?? []);
  return all.filter((status, n) => status !== all[n - 1]);
}

test("whatever happens, no status takes back what an earlier one said for good", async () => {
  await fc.assert(
    fc.asyncProperty(
      story,
      story,
      backoffLimits,
      runEnds,
      fc.boolean(),
      async (first, second, backoffLimit, ends, remove) => {
        const world = createWorld(backoffLimit);
        await live(world, first);
        if (remove) await world.happen({ what: "deleted" });
        else await settle(world, ends);
        await live(world, second);
        world.history.slice(1).forEach((version, n) => {
          const before = world.history[n];
          assert.ok(before);
          assertSuccession(before, version);
        });
      },
    ),
    { numRuns: 250 },
  );
});

test("each condition turns once in a backup's life, at its end", async () => {
  await fc.assert(
    fc.asyncProperty(story, story, backoffLimits, runEnds, async (first, second, backoffLimit, ends) => {
      const world = createWorld(backoffLimit);
      await live(world, first);
      await settle(world, ends);
      await live(world, second);
      const succeeded = conditionStatus(world.backup.status.conditions, "Succeeded") === "True";
      const turned = (type: string) => path(world.history, type).join(" ");
      assert.equal(turned("Finished"), "False True");
      assert.equal(turned("Reconciling"), "True False");
      assert.equal(turned("Succeeded"), succeeded ? "Unknown True" : "Unknown False");
      assert.equal(turned("Ready"), turned("Succeeded"));
      assert.equal(turned("Stalled"), succeeded ? "False" : "False True");
    }),
    { numRuns: 250 },
  );
});
