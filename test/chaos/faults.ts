import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../harness/random.ts";
import { type Replica, leaseSeconds } from "./replica.ts";
import { onCommits } from "./commit-faults.ts";
import { type Fault, seconds } from "./fault.ts";
import type { World } from "./world.ts";
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
    name: "is asked to stop",
    on: "operator",
    async inflict(_, random, replica) {
      await replica.operator.process.stop();
      await seconds(random, 0, 3);
      await replica.start();
    },
  },
  {
    name: "stands still for less than its lease",
    on: "operator",
    async inflict(_, random, replica) {
      replica.pause();
      await seconds(random, 0, leaseSeconds - 1);
      replica.resume();
    },
  },
  {
    name: "stands still past its lease",
    on: "operator",
    async inflict(_, random, replica) {
      replica.pause();
      await seconds(random, leaseSeconds, 2 * leaseSeconds + 2);
      replica.resume();
    },
  },
  {
    name: "is stopped while it stands still",
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
      // Without this its connections stay half-open: it has to find out by itself.
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
    name: "the API server stands still",
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
    name: "a member stands still",
    on: "members",
    async inflict({ bench }, random) {
      const member = random.pick(bench.etcd.members);
      member.pause();
      await seconds(random, 1, 8);
      member.resume();
    },
  },
  {
    name: "two members stand still: no quorum",
    on: "members",
    async inflict({ bench }, random) {
      const spared = random.pick(bench.etcd.members);
      const still = bench.etcd.members.filter((member) => member !== spared);
      for (const member of still) member.pause();
      await seconds(random, 1, 8);
      for (const member of still) member.resume();
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
    name: "the store stands still",
    on: "store",
    async inflict({ bench }, random) {
      bench.s3.pause();
      await seconds(random, 1, 8);
      bench.s3.resume();
    },
  },
  {
    name: "the store stands still for long",
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
    async inflict(world, random) {
      world.storeFault = () => {
        if (random.oneIn(4)) return { do: "answer", status: 503, code: "SlowDown" };
        if (random.oneIn(8)) return { do: "reset" };
        if (random.oneIn(8)) return { do: "loseAnswer" };
        if (random.oneIn(16)) return { do: "flipRequest" };
        return undefined;
      };
      await seconds(random, 1, 20);
      world.storeFault = undefined;
    },
  },
  {
    name: "the store refuses everything",
    on: "store",
    async inflict(world, random) {
      world.storeFault = () => ({ do: "answer", status: 503, code: "ServiceUnavailable" });
      await seconds(random, 1, 25);
      world.storeFault = undefined;
    },
  },
  {
    name: "the store takes what it is sent and never says so",
    on: "store",
    async inflict(world, random) {
      world.storeFault = ({ operation }) =>
        operation === "Put" || operation === "Complete" || operation === "Delete"
          ? { do: "loseAnswer" }
          : { do: "answer", status: 503, code: "SlowDown" };
      await seconds(random, 1, 20);
      world.storeFault = undefined;
    },
  },
  {
    name: "the store holds every request up",
    on: "store",
    async inflict(world, random) {
      world.storeFault = async () => {
        await delay(random.below(700));
        return undefined;
      };
      await seconds(random, 1, 6);
      world.storeFault = undefined;
    },
  },
];

/** Where the draw begins: what is broken by more than one fault comes up more often. */
const kinds = [onOperators, onOperators, onApi, onMembers, onStore, onCommits];

/** One to three faults that do not mend each other's damage, each with numbers of its own to draw from. */
export function drawFaults(
  random: Random,
  replicas: World["replicas"],
  fork: () => Random,
): { name: string; afterMs: number; inflict(world: World): Promise<void> }[] {
  const free: Replica[] = random.oneIn(2) ? [...replicas] : replicas.toReversed();
  const broken = new Set<Fault["on"]>();
  const drawn = Array.from({ length: 1 + random.below(3) }, () => ({
    fault: random.pick(random.pick(kinds)),
    afterMs: random.below(5_000),
    own: fork(),
  }));
  return drawn.flatMap(({ fault, afterMs, own }) => {
    const { on } = fault;
    if (broken.has(on)) return [];
    if (on === "commit") {
      if (broken.has("store") || free.length < replicas.length) return [];
      free.splice(0);
      broken.add("store");
    }
    const [anyone] = replicas;
    const replica = on === "operator" ? free.shift() : anyone;
    if (replica === undefined) return [];
    if (on !== "operator") broken.add(on);
    const name = on === "operator" ? `${replica.name} ${fault.name}` : fault.name;
    return [
      {
        name,
        // What waits for a commit has to be there before it.
        afterMs: on === "commit" ? 0 : afterMs,
        inflict: (world: World) => fault.inflict(world, own, replica),
      },
    ];
  });
}
