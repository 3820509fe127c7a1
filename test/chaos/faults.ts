import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../harness/random.ts";
import { type Replica, leaseSeconds } from "./replica.ts";
import type { Round } from "./backups.ts";
import { clockAhead } from "./clock-fault.ts";
import { onCommits } from "./commit-faults.ts";
import { copiedCluster } from "./copy-fault.ts";
import { type Fault, seconds } from "./fault.ts";
import { movedStores } from "./place-fault.ts";
import { quorumLost } from "./quorum-fault.ts";
import { clocksJump, onRetention, onSchedules, otherRelease } from "./schedule-faults.ts";
import { silentTenant } from "./tenant-fault.ts";
import type { Testbed } from "./testbed.ts";
import { revisionOf } from "../support/cluster-state.ts";

const onOperators: Fault[] = [
  {
    name: "is killed",
    on: "operator",
    async inflict(_, random, replica) {
      await replica.operator.process.kill();
      await seconds(random, 0, 4);
      await replica.start();
    },
  },
  {
    name: "gets SIGTERM",
    on: "operator",
    async inflict(_, random, replica) {
      await replica.operator.process.stop();
      await seconds(random, 0, 3);
      await replica.start();
    },
  },
  {
    name: "is paused for less than its lease",
    on: "operator",
    async inflict(_, random, replica) {
      replica.pause();
      await seconds(random, 0, leaseSeconds - 1);
      replica.resume();
    },
  },
  {
    name: "is paused past its lease",
    on: "operator",
    async inflict(_, random, replica) {
      replica.pause();
      await seconds(random, leaseSeconds, 2 * leaseSeconds + 2);
      replica.resume();
    },
  },
  {
    name: "gets SIGTERM while it is paused",
    on: "operator",
    async inflict(_, random, replica) {
      replica.pause();
      await seconds(random, 0, 2 * leaseSeconds);
      replica.operator.process.signal("SIGTERM");
      replica.resume();
      await replica.operator.process.stop();
      await replica.start();
    },
  },
  {
    name: "is cut off from the API server",
    on: "operator",
    async inflict(_, random, { proxy }) {
      void proxy.freeze();
      await seconds(random, 1, 2 * leaseSeconds);
      proxy.thaw();
      // Without the cut the operator itself has to notice that its connections are dead.
      if (random.oneIn(2)) proxy.cut();
    },
  },
  {
    name: "loses its connections to the API server again and again",
    on: "operator",
    async inflict(_, random, { proxy }) {
      for (let i = 0; i < 5; i += 1) {
        proxy.cut();
        await delay(random.below(800));
      }
    },
  },
];

const onApi: Fault[] = [
  {
    name: "the API server is paused",
    on: "api",
    async inflict({ bench }, random) {
      bench.api.pause();
      await seconds(random, 1, 2 * leaseSeconds);
      bench.api.resume();
    },
  },
  {
    name: "the API server is killed and started",
    on: "api",
    async inflict({ bench }, random) {
      await bench.api.kill();
      await seconds(random, 0, 3);
      await bench.api.start();
    },
  },
];

const onMembers: Fault[] = [
  {
    name: "a member is killed and started",
    on: "members",
    async inflict({ bench }, random) {
      const member = random.pick(bench.etcd.members);
      await member.kill();
      await seconds(random, 0, 5);
      await member.start();
    },
  },
  {
    name: "a member is paused",
    on: "members",
    async inflict({ bench }, random) {
      const member = random.pick(bench.etcd.members);
      member.pause();
      await seconds(random, 1, 8);
      member.resume();
    },
  },
  {
    name: "two members are paused, without quorum",
    on: "members",
    async inflict({ bench }, random) {
      const running = random.pick(bench.etcd.members);
      const paused = bench.etcd.members.filter((member) => member !== running);
      for (const member of paused) member.pause();
      await seconds(random, 1, 8);
      for (const member of paused) member.resume();
    },
  },
  {
    name: "etcd is compacted and defragmented",
    on: "members",
    async inflict({ bench }, random) {
      const revision = await revisionOf(bench.etcd);
      // The compaction fails when no key was written since the last one.
      await bench.etcd.etcdctl(["compact", String(revision)]).catch(() => "");
      await seconds(random, 0, 2);
      for (const { endpoint } of bench.etcd.members) {
        await bench.etcd.etcdctl(["--command-timeout=30s", "defrag"], { endpoints: [endpoint] });
      }
    },
  },
];

const onStore: Fault[] = [
  {
    name: "the store is paused",
    on: "store",
    async inflict({ bench }, random) {
      bench.s3.pause();
      await seconds(random, 1, 8);
      bench.s3.resume();
    },
  },
  {
    name: "the store is paused for long",
    on: "store",
    async inflict({ bench }, random) {
      bench.s3.pause();
      await seconds(random, 12, 35);
      bench.s3.resume();
    },
  },
  {
    name: "the store is killed and started",
    on: "store",
    async inflict({ bench }) {
      await bench.s3.restart();
    },
  },
  {
    name: "the store answers with errors and breaks connections",
    on: "store",
    async inflict(testbed, random) {
      testbed.storeFault = () => {
        if (random.oneIn(4)) return { do: "answer", status: 503, code: "SlowDown" };
        if (random.oneIn(8)) return { do: "reset" };
        if (random.oneIn(8)) return { do: "loseAnswer" };
        if (random.oneIn(16)) return { do: "flipRequest" };
        return undefined;
      };
      await seconds(random, 1, 20);
      testbed.storeFault = undefined;
    },
  },
  {
    name: "the store refuses everything",
    on: "store",
    async inflict(testbed, random) {
      testbed.storeFault = () => ({ do: "answer", status: 503, code: "ServiceUnavailable" });
      await seconds(random, 1, 25);
      testbed.storeFault = undefined;
    },
  },
  {
    name: "the store executes writes and loses their answers",
    on: "store",
    async inflict(testbed, random) {
      testbed.storeFault = ({ operation }) =>
        operation === "Put" || operation === "Complete" || operation === "Delete"
          ? { do: "loseAnswer" }
          : { do: "answer", status: 503, code: "SlowDown" };
      await seconds(random, 1, 20);
      testbed.storeFault = undefined;
    },
  },
  {
    name: "the store delays every request",
    on: "store",
    async inflict(testbed, random) {
      testbed.storeFault = async () => {
        await delay(random.below(700));
        return undefined;
      };
      await seconds(random, 1, 6);
      testbed.storeFault = undefined;
    },
  },
];

/** Who a folder of a store belongs to, and where it is. */
const onFolders: Fault[] = [
  clockAhead,
  silentTenant,
  copiedCluster,
  quorumLost,
  ...movedStores,
  otherRelease,
];

/** The groups to draw from. Some are drawn twice as often. */
const allKinds = [
  onOperators,
  onOperators,
  onApi,
  onMembers,
  [...onStore, ...onRetention],
  onCommits,
  onFolders,
  onFolders,
  onSchedules,
  [clocksJump],
];

/** What a fault affects besides both operators. The clock tells which backups were made without quorum. */
const withBothOperators: Partial<Record<Fault["on"], Fault["on"][]>> = {
  commit: ["store"],
  quorum: ["members", "operatorClocks"],
  placeAndOperators: ["place"],
};

export interface DrawnFault {
  name: string;
  on: Fault["on"];
  afterMs: number;
  inflict(testbed: Testbed, round: Round): Promise<void>;
}

/** Draws one to three faults that do not repair each other's damage, each with a random generator of its own. */
export function drawFaults(
  random: Random,
  replicas: Testbed["replicas"],
  { fork, only, isShort }: { fork: () => Random; only?: string | undefined; isShort: boolean },
): DrawnFault[] {
  const kinds = allKinds.map((faults) => faults.filter(({ isLong }) => !isShort || isLong !== true));
  const free: Replica[] = random.oneIn(2) ? [...replicas] : replicas.toReversed();
  const affected = new Set<Fault["on"]>();
  const drawn = Array.from({ length: 1 + random.below(3) }, () => ({
    fault: random.pick(random.pick(kinds)),
    afterMs: random.below(5_000),
    own: fork(),
  }));
  const chosen = allKinds.flat().find(({ name }) => only !== undefined && name.includes(only));
  if (chosen !== undefined) drawn.splice(0, drawn.length, { fault: chosen, afterMs: 0, own: fork() });
  return drawn.flatMap(({ fault, afterMs, own }) => {
    const { on } = fault;
    if (affected.has(on)) return [];
    const other = withBothOperators[on];
    if (other !== undefined) {
      if (other.some((one) => affected.has(one)) || free.length < replicas.length) return [];
      free.splice(0);
      for (const one of other) affected.add(one);
    }
    const [anyReplica] = replicas;
    const replica = on === "operator" ? free.shift() : anyReplica;
    if (replica === undefined) return [];
    if (on !== "operator") affected.add(on);
    const name = on === "operator" ? `${replica.name} ${fault.name}` : fault.name;
    return [
      {
        name,
        on,
        // A commit fault has to wait for the put of a manifest before it happens.
        afterMs: on === "commit" ? 0 : afterMs,
        inflict: (testbed, round) => fault.inflict(testbed, own, replica, round),
      } satisfies DrawnFault,
    ];
  });
}
