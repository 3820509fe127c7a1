import { createRandom } from "../harness/random.ts";
import type { Target } from "./target.ts";

export interface Failure {
  /** The seed of the input that failed. */
  seed: number;
  input: Uint8Array;
  error: unknown;
}

export interface RunResult {
  inputs: number;
  failure: Failure | undefined;
}

/** Checks a target with the inputs of the seeds from `seed` on, until one fails, `inputs` are checked, or `performance.now()` is past `until`. */
export async function run(
  target: Target,
  options: { seed: number; inputs: number; until: number; onInput?: (seed: number) => void },
): Promise<RunResult> {
  let inputs = 0;
  for (; inputs < options.inputs && performance.now() < options.until; inputs++) {
    const seed = options.seed + inputs;
    options.onInput?.(seed);
    const input = target.generate(createRandom(seed));
    try {
      await target.check(input);
    } catch (error) {
      return { inputs: inputs + 1, failure: { seed, input, error } };
    }
  }
  return { inputs, failure: undefined };
}

/** Whether the target fails on this input with the same message, apart from numbers. */
export async function failsAlike(target: Target, input: Uint8Array, error: unknown): Promise<boolean> {
  try {
    await target.check(input);
    return false;
  } catch (failure) {
    return kindOf(failure) === kindOf(error);
  }
}

function kindOf(error: unknown): string {
  return String(error).replaceAll(/\d+/g, "").slice(0, 60);
}
