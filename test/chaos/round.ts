import { setTimeout as delay } from "node:timers/promises";
import { type Random, createRandom } from "../harness/random.ts";
import { drawFaults } from "./faults.ts";
import { retry, within } from "../support/eventually.ts";
import type { Testbed } from "./testbed.ts";

/** What must hold for a created EtcdBackup. */
export interface ExpectedBackup {
  uid: string;
  deletionPolicy: string;
  /** Name of the stored backup, of one that has succeeded. */
  artifact?: string;
  /** The resource was deleted. */
  gone?: boolean;
}

export interface Round {
  number: number;
  random: Random;
  /** By the names of the EtcdBackups that were created, unless resource and stored backup are gone. */
  expected: Map<string, ExpectedBackup>;
  note(text: string): void;
  inflicted(fault: string): void;
}

/** EtcdBackups at the beginning of a round: each one takes a `verify` at its end. */
const keptResources = 6;
const repairSeconds = 150;

/** Creates, changes and deletes EtcdBackups under faults. Every fault has ended when this resolves; backups may still run. */
export async function playRound(testbed: Testbed, round: Round): Promise<void> {
  const { random, expected, note, number } = round;
  // Concurrent actions have random generators of their own: otherwise the draws would depend on their order.
  const fork = () => createRandom(random.below(2 ** 31));
  const live = () => [...expected].flatMap(([name, { gone }]) => (gone === true ? [] : [name]));
  const surplus = live().slice(0, Math.max(0, live().length - keptResources));
  for (const name of surplus) await remove(testbed, name, note);
  const names = Array.from({ length: 1 + random.below(3) }, (_, i) => `r${number}-${i}`);
  const [first = ""] = names;
  await create(testbed, round, { name: first, random: fork() });
  const laterCreations = names
    .slice(1)
    .map((name) => ({ name, afterMs: random.below(6_000), random: fork() }));
  const faults = drawFaults(random, testbed.replicas, fork);
  const chosen = [
    ...new Set(Array.from({ length: random.below(3) }, () => random.pick([...live(), ...names]))),
  ];
  const deletions = chosen.map((name) => ({ name, afterMs: random.below(8_000) }));
  const changed = random.oneIn(3) ? live().findLast((name) => !chosen.includes(name)) : undefined;
  const afterMs = random.below(6_000);
  const writer = fork();
  const creations = new Map(
    laterCreations.map((creation) => [
      creation.name,
      delay(creation.afterMs).then(() => create(testbed, round, creation)),
    ]),
  );
  await Promise.all([
    ...faults.map(async (fault) => {
      await delay(fault.afterMs);
      note(fault.name);
      await within(`the end of: ${fault.name}`, fault.inflict(testbed), repairSeconds);
      note(`over: ${fault.name}`);
      round.inflicted(fault.name.replace(/^replica-. /, "an operator "));
    }),
    ...creations.values(),
    ...deletions.map(async ({ name, afterMs: ms }) => {
      await creations.get(name);
      await delay(ms);
      await remove(testbed, name, note);
    }),
    delay(afterMs).then(async () => changed !== undefined && changePolicy(testbed, round, changed)),
    write(testbed, writer, round),
  ]);
}

async function create(
  { bench, bucket }: Testbed,
  { expected, note }: Round,
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
    // A slow backup, so that the faults happen during the backup.
    ...(random.oneIn(2) ? { maxRate: random.pick(["2Mi", "4Mi", "8Mi"]) } : {}),
  };
  const uid = await retry(
    `the API server accepts ${name}`,
    async () => {
      await bench.kube.apply(bench.backupObject(name, bucket, spec));
      return (await bench.kube.backup(name)).metadata.uid;
    },
    repairSeconds,
  );
  expected.set(name, { uid, deletionPolicy: spec.deletionPolicy });
  note(`created ${name} (${uid}) ${JSON.stringify(spec)}`);
}

async function remove({ bench }: Testbed, name: string, note: (text: string) => void): Promise<void> {
  const args = ["delete", "etcdbackup", name, "--wait=false", "--ignore-not-found", "--request-timeout=10s"];
  await retry(`the API server accepts the deletion of ${name}`, () => bench.api.kubectl(args), repairSeconds);
  note(`deleted ${name}`);
}

async function changePolicy({ bench }: Testbed, { expected, note }: Round, name: string): Promise<void> {
  const entry = expected.get(name);
  if (entry === undefined) return;
  const deletionPolicy = entry.deletionPolicy === "Retain" ? "Delete" : "Retain";
  const patch = JSON.stringify({ spec: { deletionPolicy } });
  const args = ["patch", "etcdbackup", name, "--type=merge", "-p", patch, "--request-timeout=10s"];
  await retry(`the API server accepts the change of ${name}`, () => bench.api.kubectl(args), repairSeconds);
  entry.deletionPolicy = deletionPolicy;
  note(`${name} has deletionPolicy ${deletionPolicy} now`);
}

/** Puts keys during the round; in one of 15 rounds 60 MB, which are deleted at its end. */
async function write({ bench: { etcd } }: Testbed, random: Random, { number, note }: Round): Promise<void> {
  // A put without quorum fails, which is expected.
  const put = (key: string, input: string) => etcd.etcdctl(["put", key], { input }).catch(() => "");
  if (random.oneIn(15)) {
    note("60 MB are put");
    for (let i = 0; i < 45; i += 1) await put(`/large/${i}`, random.bytes(700_000).toString("hex"));
    await etcd.etcdctl(["del", "--prefix", "/large/"]).catch(() => "");
  }
  for (let i = 0; i < 8; i += 1) {
    await put(`/round/${number % 10}/${i}`, `${number} `.repeat(1 + random.below(5_000)));
    await delay(random.below(1_500));
  }
}
