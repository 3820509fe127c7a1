import { parseArgs } from "node:util";
import { keep } from "./corpus.ts";
import { minimize } from "./minimize.ts";
import { type Failure, failsAlike, run } from "./run.ts";
import type { Target } from "./target.ts";
import { targets } from "./targets.ts";
import { startWatchdog } from "./watchdog.ts";

// node test/fuzz/fuzz.ts [--target NAME] [--seconds N | --inputs N] [--seed S]
// Each target gets the inputs of the seeds S, S + 1, …, or as many as it takes in N seconds.

const hangMs = 60_000;
const { values: flags } = parseArgs({
  options: {
    target: { type: "string" },
    seconds: { type: "string" },
    inputs: { type: "string" },
    seed: { type: "string" },
  },
});
const seed = Number(flags.seed ?? Date.now() % 2 ** 31);
const seconds =
  flags.seconds === undefined ? (flags.inputs === undefined ? 10 : Infinity) : Number(flags.seconds);
const chosen = targets.filter(({ name }) => flags.target === undefined || name === flags.target);
if (chosen.length === 0 || Number.isNaN(seed + seconds)) {
  print(
    `usage: node test/fuzz/fuzz.ts [--target ${targets.map((t) => t.name).join("|")}] [--seconds N | --inputs N] [--seed S]`,
  );
  process.exit(2);
}

using watchdog = startWatchdog(hangMs);
let total = 0;
for (const target of chosen) {
  const began = performance.now();
  const { inputs, failure } = await run(target, {
    seed,
    inputs: Number(flags.inputs ?? Infinity),
    until: began + seconds * 1000,
    onInput: (at) => watchdog.see(targets.indexOf(target), at),
  });
  total += inputs;
  const took = (performance.now() - began) / 1000;
  print(
    `${target.name}: ${inputs} inputs from seed ${seed} in ${took.toFixed(1)} s, ${Math.round(inputs / took)} a second`,
  );
  if (failure !== undefined) await report(target, failure);
}
print(`${total} inputs`);

async function report(target: Target, failure: Failure): Promise<void> {
  process.exitCode = 1;
  const smallest = await minimize(
    failure.input,
    async (input) => {
      watchdog.see(targets.indexOf(target), failure.seed);
      return failsAlike(target, input, failure.error);
    },
    1000,
  );
  const file = keep(target, `seed-${failure.seed}`, smallest);
  print(`FAILED ${target.name} at seed ${failure.seed}: ${String(failure.error)}`);
  if (failure.error instanceof Error) print(failure.error.stack ?? "");
  print(`written to ${file}: ${smallest.length} bytes of ${failure.input.length}`);
  print(`to repeat it: node test/fuzz/fuzz.ts --target ${target.name} --seed ${failure.seed} --inputs 1`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
