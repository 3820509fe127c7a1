import { setTimeout as delay } from "node:timers/promises";
import { type Random, createRandom } from "../harness/random.ts";
import type { Fault } from "./fault.ts";
import { drawFaults } from "./faults.ts";
import { within } from "../support/eventually.ts";
import { type Round, changePolicy, create, remove, repairSeconds } from "./backups.ts";
import { playSchedules } from "./schedules.ts";
import type { Testbed } from "./testbed.ts";

/** EtcdBackups at the beginning of a round: each one takes a `verify` at its end. */
const keptResources = 6;

/** Creates, changes and deletes EtcdBackups under faults. Every fault has ended when this resolves; backups may still run. Resolves to what the faults affected. */
export async function playRound(testbed: Testbed, round: Round): Promise<Fault["on"][]> {
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
  const faults = drawFaults(random, testbed.replicas, { ...round, fork });
  const chosen = [
    ...new Set(Array.from({ length: random.below(3) }, () => random.pick([...live(), ...names]))),
  ];
  const deletions = chosen.map((name) => ({ name, afterMs: random.below(8_000) }));
  const changed = random.oneIn(3) ? live().findLast((name) => !chosen.includes(name)) : undefined;
  const afterMs = random.below(6_000);
  const writer = fork();
  const persons = fork();
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
      await within(`the end of: ${fault.name}`, fault.inflict(testbed, round), repairSeconds);
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
    playSchedules(testbed, persons, round),
  ]);
  return faults.map(({ on }) => on);
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
