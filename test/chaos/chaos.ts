import { parseArgs } from "node:util";
import { runChaos } from "./run.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Math.floor(Date.now() / 1000)) },
    seconds: { type: "string", default: "60" },
    // The part of a fault's name, to inject no other one.
    only: { type: "string" },
  },
});
const seed = Number(values.seed);
console.log(`seed ${seed}, ${values.seconds} s`);
const result = await runChaos({
  seed,
  seconds: Number(values.seconds),
  only: values.only,
  log: (line) => console.log(line),
});
console.log(JSON.stringify({ seed, ...result }));
