import { createRandom } from "../harness/random.ts";
import { fillTwoParts } from "../support/sample-data.ts";
import { keepEvidence } from "./evidence.ts";
import { checkInvariants } from "./invariants.ts";
import { checkSchedules } from "./schedule-invariants.ts";
import type { ExpectedBackup } from "./backups.ts";
import { playRound } from "./round.ts";
import { settleSchedules } from "./schedules.ts";
import { assertUndisturbed } from "./tenant-fault.ts";
import { type Testbed, waitForRest, startTestbed } from "./testbed.ts";

export interface ChaosResult {
  rounds: number;
  succeeded: number;
  failed: number;
  /** EtcdBackups that schedules created, and those of them for times. */
  scheduled: number;
  times: number;
  /** How often each fault was injected. */
  faults: Record<string, number>;
  /** Number of changes of the Lease's holder. */
  terms: number;
  /** Number of acts that were under way when the writer's term ended. */
  underWay: number;
  peakMiB: number;
}

/** The longest timeoutSeconds after the last fault, plus a deletion that waits for its next attempt. */
const restSeconds = 180;

/** A run of fewer seconds draws no fault that takes about a minute. */
const longSeconds = 120;

/**
 * Runs rounds of faults until the time is up. Throws when an invariant is broken, with the seed, the round, the actions
 * and the directory with the logs. The same seed draws the same actions; their timing depends on the machine.
 */
export async function runChaos(options: {
  seed: number;
  seconds: number;
  /** Injects no other fault than the one whose name contains this text. */
  only?: string | undefined;
  log: (line: string) => void;
}): Promise<ChaosResult> {
  const { seed, seconds, log, only } = options;
  const random = createRandom(seed);
  await using testbed = await startTestbed("chaos");
  await fillTwoParts(testbed.bench.etcd);
  const expected = new Map<string, ExpectedBackup>();
  const result: ChaosResult = {
    rounds: 0,
    succeeded: 0,
    failed: 0,
    scheduled: 0,
    times: 0,
    faults: {},
    terms: 0,
    underWay: 0,
    peakMiB: 0,
  };
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    result.rounds += 1;
    const number = result.rounds;
    const actions: string[] = [];
    const note = (text: string) => {
      actions.push(`${new Date().toISOString()} ${text}`);
      log(`round ${number}: ${text}`);
    };
    const inflicted = (fault: string) => {
      result.faults[fault] = (result.faults[fault] ?? 0) + 1;
    };
    try {
      const round = { number, random, expected, note, inflicted, only, isShort: seconds < longSeconds };
      const affected = await playRound(testbed, round);
      await waitForRest(testbed, restSeconds);
      await settleSchedules(testbed, round);
      if (affected.every((on) => on === "tenant"))
        assertUndisturbed(await testbed.backups(), expected, `r${number}-`);
      for (const act of testbed.afterRest.splice(0)) await act();
      const ended = await countEnded(testbed, `r${number}-`);
      const sweep = random.oneIn(3);
      const { underWay, peakMiB } = await checkInvariants(testbed, expected, { sweep });
      await checkSchedules(testbed, { sweep });
      for (const act of testbed.afterChecks.splice(0)) await act();
      for (const act of underWay) note(`under way at the end of its term: ${act}`);
      result.succeeded += ended.succeeded;
      result.failed += ended.failed;
      const runs = [...testbed.schedules.runs.values()];
      result.scheduled = runs.length;
      result.times = runs.filter(({ cause }) => !cause.startsWith("trigger")).length;
      result.underWay += underWay.length;
      result.peakMiB = Math.max(result.peakMiB, peakMiB);
      result.terms = testbed.leaders.terms.filter(({ holder }) => holder !== "").length;
      note(`${ended.succeeded} succeeded, ${ended.failed} failed; all invariants hold`);
    } catch (error) {
      const directory = await keepEvidence(testbed, seed, [...actions, reasonsOf(error)]);
      const story = actions.map((line) => `  ${line}`).join("\n");
      throw new Error(`seed ${seed}, round ${number}, logs in ${directory}\n${story}\n${reasonsOf(error)}`, {
        cause: error,
      });
    }
    // The proxy searches this list with each request.
    testbed.bench.network.seen.length = 0;
  }
  return result;
}

async function countEnded(testbed: Testbed, prefix: string): Promise<{ succeeded: number; failed: number }> {
  const ended = (await testbed.backups()).filter(({ metadata }) => metadata.name.startsWith(prefix));
  const good = ended.filter(({ status }) =>
    status.conditions?.some(({ type, status: is }) => type === "Succeeded" && is === "True"),
  );
  return { succeeded: good.length, failed: ended.length - good.length };
}

/** An error with its causes, a line each. */
function reasonsOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause === undefined ? String(error) : `${String(error)}\n${reasonsOf(cause)}`;
}
