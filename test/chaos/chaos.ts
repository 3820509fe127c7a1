import { parseArgs } from "node:util";
import { runChaos } from "./run.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Math.floor(Date.now() / 1000)) },
    seconds: { type: "string", default: "60" },
  },
});
const seed = Number(values.seed);
console.log(`seed ${seed}, ${values.seconds} s`);
const result = await runChaos({ seed, seconds: Number(values.seconds), log: (line) => console.log(line) });
console.log(JSON.stringify({ seed, ...result }));
