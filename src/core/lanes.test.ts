import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Lanes } from "./lanes.ts";

test("the heads are the first keys of the lanes, in the order of arrival, whatever has left before", () => {
  const step = fc.oneof(fc.record({ add: fc.nat({ max: 3 }) }), fc.record({ remove: fc.nat({ max: 30 }) }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const lanes = new Lanes();
      let waiting: { key: string; lane: string }[] = [];
      for (const [arrival, next] of steps.entries()) {
        if ("add" in next) {
          const added = { key: `k${arrival}`, lane: `lane ${next.add}` };
          waiting.push(added);
          lanes.add(added.key, added.lane, arrival);
        } else {
          const left = waiting[next.remove % Math.max(1, waiting.length)];
          waiting = waiting.filter((each) => each !== left);
          lanes.delete(left?.key ?? "no such key");
        }
        const heads = waiting.filter((each, i) => waiting.findIndex(({ lane }) => lane === each.lane) === i);
        assert.deepEqual(
          [...lanes.heads()],
          heads.map(({ key }) => key),
        );
      }
    }),
  );
});
