import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createWorld, live, settle, story } from "./model.fixture.ts";
import { conditionStatus } from "../../core/conditions.ts";

/** A look each for start, watch, failure and waiting of each attempt; the rest is for beginning, end and a lost write. */
const enough = (backoffLimit: number) => 4 * (backoffLimit + 1) + 8;
const ends = fc.constantFrom("runSucceeds" as const, "runFails" as const);

test("whatever happens to operator, store and writes, the backup ends once it is left alone, and truthfully", () => {
  fc.assert(
    fc.property(story, fc.nat({ max: 3 }), ends, (moments, backoffLimit, runEnds) => {
      const world = createWorld(backoffLimit);
      live(world, moments);
      const looks = settle(world, runEnds);
      assert.ok(looks <= enough(backoffLimit), `${looks} looks`);
      assert.ok(world.finished());
      const { conditions, observedGeneration, nextAttemptTime, progress } = world.backup.status;
      if (conditionStatus(conditions, "Succeeded") === "True") assert.ok(world.inBucket);
      assert.equal(conditionStatus(conditions, "Reconciling"), "False");
      assert.equal(observedGeneration, world.backup.metadata.generation);
      assert.deepEqual([nextAttemptTime, progress], [undefined, undefined]);
    }),
    { numRuns: 1500 },
  );
});

test("a deleted backup goes, whenever it is deleted, and takes what it stored along where that was asked for", () => {
  fc.assert(
    fc.property(story, story, fc.nat({ max: 3 }), ends, (before, after, backoffLimit, runEnds) => {
      const world = createWorld(backoffLimit);
      live(world, before);
      world.happen({ what: "deleted" });
      live(world, after);
      assert.ok(settle(world, runEnds) <= 5);
      assert.ok(world.gone());
    }),
    { numRuns: 500 },
  );
});
