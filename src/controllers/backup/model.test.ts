import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { conditionStatus } from "../../core/conditions.ts";
import { backoffLimits, runEnds, story } from "./story.fixture.ts";
import { createWorld, live, settle } from "./world.fixture.ts";

/** A pass each for start, progress, failure and waiting of each attempt; the rest for the beginning, the end and a lost write. */
const enough = (backoffLimit: number) => 4 * (backoffLimit + 1) + 8;

test("whatever happens to operator, store and writes, the backup ends once it is left alone, and truthfully", async () => {
  await fc.assert(
    fc.asyncProperty(story, backoffLimits, runEnds, async (moments, backoffLimit, ends) => {
      const world = createWorld(backoffLimit);
      await live(world, moments);
      const looks = await settle(world, ends);
      assert.ok(looks <= enough(backoffLimit), `${looks} passes`);
      assert.ok(world.finished());
      const { conditions, observedGeneration, nextAttemptTime, progress } = world.backup.status;
      if (conditionStatus(conditions, "Succeeded") === "True") assert.ok(world.inBucket);
      assert.equal(conditionStatus(conditions, "Reconciling"), "False");
      assert.equal(observedGeneration, world.backup.metadata.generation);
      assert.deepEqual([nextAttemptTime, progress], [undefined, undefined]);
    }),
    { numRuns: 300 },
  );
});

test("a deleted backup goes, whenever it is deleted, and takes what it stored along where that was asked for", async () => {
  await fc.assert(
    fc.asyncProperty(story, story, backoffLimits, runEnds, async (before, after, backoffLimit, ends) => {
      const world = createWorld(backoffLimit);
      await live(world, before);
      await world.happen({ what: "deleted" });
      await live(world, after);
      assert.ok((await settle(world, ends)) <= 6);
      assert.ok(world.gone);
    }),
    { numRuns: 150 },
  );
});
