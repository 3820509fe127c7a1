import { createRandom } from "../harness/random.ts";
import { fillTwoParts } from "../support/sample-data.ts";
import { keepEvidence } from "./evidence.ts";
import { checkInvariants } from "./invariants.ts";
import { type Known, playRound } from "./round.ts";
import { type World, atRest, startWorld } from "./world.ts";

export interface ChaosResult {
  rounds: number;
  succeeded: number;
  failed: number;
  /** How often each fault was inflicted. */
  faults: Record<string, number>;
  /** Changes of the Lease's holder. */
  terms: number;
  /** Acts that were on their way when the term of who made them ended. */
  underWay: number;
  peakMiB: number;
}

/** For a round that has seen the worst: the longest timeoutSeconds after the last fault, and a deletion that waits for its next look. */
const restSeconds = 180;

/**
 * Rounds of faults until the time is up. Throws when an invariant is broken, with seed, round, what was done, and the
 * directory with the logs. The seed repeats what is drawn; when it hits depends on the machine.
 */
export async function runChaos(options: {
  seed: number;
  seconds: number;
  say: (line: string) => void;
}): Promise<ChaosResult> {
  const { seed, seconds, say } = options;
  const random = createRandom(seed);
  await using world = await startWorld("chaos");
  await fillTwoParts(world.bench.etcd);
  const known = new Map<string, Known>();
  const result: ChaosResult = {
    rounds: 0,
    succeeded: 0,
    failed: 0,
    faults: {},
    terms: 0,
    underWay: 0,
    peakMiB: 0,
  };
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    result.rounds += 1;
    const number = result.rounds;
    const did: string[] = [];
    const note = (text: string) => {
      did.push(`${new Date().toISOString()} ${text}`);
      say(`round ${number}: ${text}`);
    };
    const inflicted = (fault: string) => {
      result.faults[fault] = (result.faults[fault] ?? 0) + 1;
    };
    try {
      await playRound(world, { number, random, known, note, inflicted });
      await atRest(world, restSeconds);
      const ended = await count(world, `r${number}-`);
      const { underWay, peakMiB } = await checkInvariants(world, known, { sweep: random.oneIn(3) });
      for (const act of underWay) note(`under way at the end of its term: ${act}`);
      result.succeeded += ended.succeeded;
      result.failed += ended.failed;
      result.underWay += underWay.length;
      result.peakMiB = Math.max(result.peakMiB, peakMiB);
      result.terms = world.leaders.terms.filter(({ holder }) => holder !== "").length;
      note(`${ended.succeeded} succeeded, ${ended.failed} failed; all invariants hold`);
    } catch (error) {
      const directory = await keepEvidence(world, seed, [...did, String(error)]);
      const story = did.map((line) => `  ${line}`).join("\n");
      throw new Error(`seed ${seed}, round ${number}, logs in ${directory}\n${story}\n${String(error)}`, {
        cause: error,
      });
    }
    // The proxy counts through all of them with each request.
    world.bench.network.seen.length = 0;
  }
  return result;
}

async function count(world: World, prefix: string): Promise<{ succeeded: number; failed: number }> {
  const ended = (await world.backups()).filter(({ metadata }) => metadata.name.startsWith(prefix));
  const good = ended.filter(({ status }) =>
    status.conditions?.some(({ type, status: is }) => type === "Succeeded" && is === "True"),
  );
  return { succeeded: good.length, failed: ended.length - good.length };
}
