import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { corpusOf } from "./corpus.ts";
import { run } from "./run.ts";
import { targets } from "./targets.ts";

const seed = Math.floor(Date.now() / 1000) % 2 ** 31;

describe("the inputs of the corpus pass the checks", () => {
  for (const target of targets) {
    test(target.name, async () => {
      const inputs = corpusOf(target);
      assert.ok(inputs.length > 0, "the corpus has no input of this target");
      for (const [file, input] of inputs) {
        await assert.doesNotReject(async () => target.check(input), `corpus/${target.name}/${file}`);
      }
    });
  }
});

describe("random inputs pass the checks", () => {
  for (const target of targets) {
    test(`${target.name}, from seed ${seed}`, async (t) => {
      t.diagnostic(`${target.testInputs} inputs from seed ${seed}`);
      const { failure } = await run(target, { seed, inputs: target.testInputs, until: Infinity });
      if (failure === undefined) return;
      const again = `node test/fuzz/fuzz.ts --target ${target.name} --seed ${failure.seed} --inputs 1`;
      assert.fail(`${String(failure.error)}; to repeat it and add it to the corpus: ${again}`);
    });
  }
});
