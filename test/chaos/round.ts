import { setTimeout as delay } from "node:timers/promises";
import { type Random, createRandom } from "../harness/random.ts";
import { drawFaults } from "./faults.ts";
import { retry, within } from "../support/eventually.ts";
import type { World } from "./world.ts";

/** What was asked for, and what has been promised since. */
export interface Known {
  uid: string;
  deletionPolicy: string;
  /** Of one that has succeeded. */
  artifact?: string;
  gone?: boolean;
}

export interface Round {
  number: number;
  random: Random;
  /** By the names of the EtcdBackups; of those that were ever created, unless nothing is left of them. */
  known: Map<string, Known>;
  note(text: string): void;
  inflicted(fault: string): void;
}

/** So many may be there at the beginning of a round: each one costs a `verify` at its end. */
const keptResources = 6;
const mendSeconds = 150;

/** Everything that is done to the world; it has not come to rest when this resolves, but every fault has ended. */
export async function playRound(world: World, round: Round): Promise<void> {
  const { random, known, note, number } = round;
  // What happens at the same time draws its numbers apart: else their order would depend on the machine.
  const fork = () => createRandom(random.below(2 ** 31));
  const live = () => [...known].flatMap(([name, { gone }]) => (gone === true ? [] : [name]));
  const surplus = live().slice(0, Math.max(0, live().length - keptResources));
  for (const name of surplus) await remove(world, name, note);
  const names = Array.from({ length: 1 + random.below(3) }, (_, i) => `r${number}-${i}`);
  const [first = ""] = names;
  await create(world, round, { name: first, random: fork() });
  const later = names.slice(1).map((name) => ({ name, afterMs: random.below(6_000), random: fork() }));
  const faults = drawFaults(random, world.replicas, fork);
  const chosen = [
    ...new Set(Array.from({ length: random.below(3) }, () => random.pick([...live(), ...names]))),
  ];
  const doomed = chosen.map((name) => ({ name, afterMs: random.below(8_000) }));
  const changed = random.oneIn(3) ? live().findLast((name) => !chosen.includes(name)) : undefined;
  const afterMs = random.below(6_000);
  const writer = fork();
  const creations = new Map(
    later.map((one) => [one.name, delay(one.afterMs).then(() => create(world, round, one))]),
  );
  await Promise.all([
    ...faults.map(async (fault) => {
      await delay(fault.afterMs);
      note(fault.name);
      await within(`the end of: ${fault.name}`, fault.inflict(world), mendSeconds);
      note(`over: ${fault.name}`);
      round.inflicted(fault.name.replace(/^replica-. /, "an operator "));
    }),
    ...creations.values(),
    ...doomed.map(async ({ name, afterMs: ms }) => {
      await creations.get(name);
      await delay(ms);
      await remove(world, name, note);
    }),
    delay(afterMs).then(async () => changed !== undefined && changePolicy(world, round, changed)),
    write(world, writer, round),
  ]);
}

async function create(
  { bench, bucket }: World,
  { known, note }: Round,
  { name, random }: { name: string; random: Random },
): Promise<void> {
  const spec = {
    compression: random.pick(["Zstd", "None"]),
    deletionPolicy: random.pick(["Retain", "Delete"]),
    verification: {
      readBack: random.oneIn(3),
      hashKV: random.pick(["WhenAvailable", "WhenAvailable", "Skip", "Required"]),
    },
    timeoutSeconds: random.pick([15, 30, 60, 100]),
    backoffLimit: random.pick([0, 1, 3, 8]),
    // So that what happens meanwhile happens in the middle of it.
    ...(random.oneIn(2) ? { maxRate: random.pick(["2Mi", "4Mi", "8Mi"]) } : {}),
  };
  const uid = await retry(
    `the API server accepts ${name}`,
    async () => {
      await bench.kube.apply(bench.backupObject(name, bucket, spec));
      return (await bench.kube.backup(name)).metadata.uid;
    },
    mendSeconds,
  );
  known.set(name, { uid, deletionPolicy: spec.deletionPolicy });
  note(`created ${name} (${uid}) ${JSON.stringify(spec)}`);
}

async function remove({ bench }: World, name: string, note: (text: string) => void): Promise<void> {
  const args = ["delete", "etcdbackup", name, "--wait=false", "--ignore-not-found", "--request-timeout=10s"];
  await retry(`the API server accepts the deletion of ${name}`, () => bench.api.kubectl(args), mendSeconds);
  note(`deleted ${name}`);
}

async function changePolicy({ bench }: World, { known, note }: Round, name: string): Promise<void> {
  const entry = known.get(name);
  if (entry === undefined) return;
  const deletionPolicy = entry.deletionPolicy === "Retain" ? "Delete" : "Retain";
  const patch = JSON.stringify({ spec: { deletionPolicy } });
  const args = ["patch", "etcdbackup", name, "--type=merge", "-p", patch, "--request-timeout=10s"];
  await retry(`the API server accepts the change of ${name}`, () => bench.api.kubectl(args), mendSeconds);
  entry.deletionPolicy = deletionPolicy;
  note(`${name} has deletionPolicy ${deletionPolicy} now`);
}

/** Keys come and go meanwhile; once in a while they are 60 MB, and gone at the end of the round. */
async function write({ bench: { etcd } }: World, random: Random, { number, note }: Round): Promise<void> {
  // Without a quorum it fails, and that is no matter.
  const put = (key: string, input: string) => etcd.etcdctl(["put", key], { input }).catch(() => "");
  if (random.oneIn(15)) {
    note("60 MB are written");
    for (let i = 0; i < 45; i += 1) await put(`/large/${i}`, random.bytes(700_000).toString("hex"));
    await etcd.etcdctl(["del", "--prefix", "/large/"]).catch(() => "");
  }
  for (let i = 0; i < 8; i += 1) {
    await put(`/round/${number % 10}/${i}`, `${number} `.repeat(1 + random.below(5_000)));
    await delay(random.below(1_500));
  }
}
