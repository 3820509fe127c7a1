import { setTimeout as delay } from "node:timers/promises";
import type { EtcdBackup } from "../../src/api/etcd-backup.ts";
import { type Random, createRandom } from "../harness/random.ts";
import { fillTwoParts } from "../integration/operator.fixture.ts";
import { faults } from "./faults.ts";
import { checkInvariants } from "./invariants.ts";
import { type World, atRest, startWorld } from "./world.ts";

export interface ChaosResult {
  rounds: number;
  backups: number;
  succeeded: number;
  failed: number;
  faults: number;
  /** Changes of the Lease's holder. */
  terms: number;
}

/** For a round that has seen the worst: three attempts with their pauses, after the last fault. */
const restSeconds = 150;

/** Rounds of faults until the time is up; throws with seed, round and what was done when an invariant is broken. */
export async function runChaos(options: {
  seed: number;
  seconds: number;
  say: (line: string) => void;
}): Promise<ChaosResult> {
  const { seed, seconds, say } = options;
  const random = createRandom(seed);
  await using world = await startWorld("chaos");
  await fillTwoParts(world.bench.etcd);
  const known = new Map<string, EtcdBackup>();
  const result: ChaosResult = { rounds: 0, backups: 0, succeeded: 0, failed: 0, faults: 0, terms: 0 };
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    result.rounds += 1;
    const did: string[] = [];
    const note = (text: string) => {
      did.push(text);
      say(`round ${result.rounds}: ${text}`);
    };
    try {
      await round(world, { random, number: result.rounds, known, note, result });
      await atRest(world, restSeconds);
      await checkInvariants(world, known);
    } catch (error) {
      const logs = world.replicas.map(({ name, operator }) => `--- ${name}\n${operator.process.output()}`);
      throw new Error(
        `seed ${seed}, round ${result.rounds}, after:\n${did.join("\n")}\n${String(error)}\n${logs.join("\n")}`,
        { cause: error },
      );
    }
    const ended = (await world.backups()).filter(({ metadata }) =>
      metadata.name.startsWith(`r${result.rounds}-`),
    );
    const good = ended.filter(({ status }) =>
      status.conditions?.some(({ type, status: is }) => type === "Succeeded" && is === "True"),
    );
    result.succeeded += good.length;
    result.failed += ended.length - good.length;
    result.terms = world.holders.filter(({ replica }) => replica !== "").length;
    say(
      `round ${result.rounds}: ${good.length} succeeded, ${ended.length - good.length} failed; all invariants hold`,
    );
  }
  return result;
}

async function round(
  world: World,
  parts: {
    random: Random;
    number: number;
    known: Map<string, EtcdBackup>;
    note: (text: string) => void;
    result: ChaosResult;
  },
): Promise<void> {
  const { random, number, known, note, result } = parts;
  const { bench, bucket } = world;
  await bench.etcd.etcdctl(["put", `/round/${number}`, String(number)]).catch(() => "");
  const names = Array.from({ length: 1 + random.below(3) }, (_, i) => `r${number}-${i}`);
  for (const name of names) {
    const spec = {
      compression: random.pick(["Zstd", "None"]),
      deletionPolicy: random.pick(["Retain", "Delete"]),
      verification: { readBack: random.oneIn(3), hashKV: random.pick(["WhenAvailable", "Skip"]) },
      timeoutSeconds: 120,
      backoffLimit: 8,
    };
    const object = bench.backupObject(name, bucket, spec);
    await bench.kube.apply(object);
    known.set(name, object as EtcdBackup);
    note(`created ${name} ${JSON.stringify(spec)}`);
    result.backups += 1;
  }
  const breaking = Array.from({ length: 1 + random.below(3) }, () => random.pick(faults));
  // Two of a kind would mend each other's damage too early.
  const distinct = [...new Set(breaking)];
  const deleting = random.oneIn(2) ? random.pick([...known.keys()]) : undefined;
  await Promise.all([
    ...distinct.map(async (fault) => {
      await delay(random.below(2_500));
      note(fault.name);
      await fault.inflict(world, random);
      result.faults += 1;
    }),
    (async () => {
      if (deleting === undefined) return;
      await delay(random.below(4_000));
      note(`deleted ${deleting}`);
      await removed(world, deleting);
    })(),
  ]);
}

/** Asks until the API server, which may be down, has taken the request. */
async function removed({ bench }: World, name: string): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await bench.api.kubectl(["delete", "etcdbackup", name, "--wait=false", "--ignore-not-found"]);
      return;
    } catch (error) {
      if (attempt >= 30) throw error;
      await delay(1_000);
    }
  }
}
