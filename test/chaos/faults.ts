import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../harness/random.ts";
import type { World } from "./world.ts";

export interface Fault {
  name: string;
  /** Breaks something, waits, and mends it. */
  inflict(world: World, random: Random): Promise<void>;
}

const seconds = (random: Random, from: number, to: number) =>
  delay((from + random.below(to - from + 1)) * 1000);

export const faults: readonly Fault[] = [
  {
    name: "an operator is killed",
    async inflict({ replicas }, random) {
      const replica = random.pick(replicas);
      await replica.operator.process.kill();
      await seconds(random, 0, 4);
      await replica.start();
    },
  },
  {
    name: "an operator is asked to stop",
    async inflict({ replicas }, random) {
      const replica = random.pick(replicas);
      await replica.operator.process.stop();
      await seconds(random, 0, 3);
      await replica.start();
    },
  },
  {
    name: "an operator stands still, perhaps past its lease",
    async inflict({ replicas }, random) {
      const { process } = random.pick(replicas).operator;
      process.pause();
      await seconds(random, 1, 12);
      process.resume();
    },
  },
  {
    name: "an operator is cut off from the API server",
    async inflict({ replicas }, random) {
      const { proxy } = random.pick(replicas);
      void proxy.freeze();
      await seconds(random, 1, 10);
      proxy.thaw();
      proxy.cut();
    },
  },
  {
    name: "an operator's connections break",
    async inflict({ replicas }, random) {
      const { proxy } = random.pick(replicas);
      for (let i = 0; i < 5; i += 1) {
        proxy.cut();
        await delay(random.below(800));
      }
    },
  },
  {
    name: "the API server stands still",
    async inflict({ bench }, random) {
      bench.api.pause();
      await seconds(random, 1, 8);
      bench.api.resume();
    },
  },
  {
    name: "the API server is killed and started",
    async inflict({ bench }) {
      await bench.api.restart();
    },
  },
  {
    name: "a member is killed and started",
    async inflict({ bench }, random) {
      const member = random.pick(bench.etcd.members);
      await member.kill();
      await seconds(random, 0, 5);
      await member.start();
    },
  },
  {
    name: "a member stands still",
    async inflict({ bench }, random) {
      const member = random.pick(bench.etcd.members);
      member.pause();
      await seconds(random, 1, 8);
      member.resume();
    },
  },
  {
    name: "etcd is compacted",
    async inflict({ bench }) {
      const { header } = JSON.parse(await bench.etcd.etcdctl(["get", "none", "-w", "json"])) as {
        header: { revision: number };
      };
      await bench.etcd.etcdctl(["compact", String(header.revision)]).catch(() => {});
    },
  },
  {
    name: "the store stands still",
    async inflict({ bench }, random) {
      bench.s3.pause();
      await seconds(random, 1, 8);
      bench.s3.resume();
    },
  },
  {
    name: "the store is killed and started",
    async inflict({ bench }) {
      await bench.s3.restart();
    },
  },
  {
    name: "the store answers with errors and breaks connections",
    async inflict({ bench }, random) {
      bench.network.fault = () => {
        if (random.oneIn(4)) return { do: "answer", status: 503, code: "SlowDown" };
        if (random.oneIn(8)) return { do: "reset" };
        if (random.oneIn(8)) return { do: "loseAnswer" };
        return undefined;
      };
      await seconds(random, 1, 8);
      bench.network.fault = () => undefined;
    },
  },
  {
    name: "the store holds every request up",
    async inflict({ bench }, random) {
      bench.network.fault = async () => {
        await delay(random.below(700));
        return undefined;
      };
      await seconds(random, 1, 6);
      bench.network.fault = () => undefined;
    },
  },
];
