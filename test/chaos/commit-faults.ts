import type { S3Fault } from "../support/s3-fault-proxy.ts";
import { type Fault, seconds } from "./fault.ts";
import { type Replica, leaseSeconds } from "./replica.ts";
import { type World, writerOf } from "./world.ts";

/** Resolves to who puts it, with the request held until `release`; to undefined when none comes in time. */
async function nextManifest(
  world: World,
): Promise<{ replica: Replica; release(fault?: S3Fault): void } | undefined> {
  const come = Promise.withResolvers<Replica | undefined>();
  const released = Promise.withResolvers<S3Fault | undefined>();
  const timer = setTimeout(() => come.resolve(undefined), 8_000);
  world.storeFault = ({ operation, url, headers }) => {
    if (operation !== "Put" || !/\/prod\/[^/]+\.json/.test(url)) return undefined;
    come.resolve(world.replicas.find(({ instance }) => instance === writerOf(headers)));
    return released.promise;
  };
  const replica = await come.promise;
  clearTimeout(timer);
  world.storeFault = undefined;
  if (replica === undefined) {
    released.resolve(undefined);
    return undefined;
  }
  return { replica, release: released.resolve };
}

/** While a manifest is on its way: the moment at which a backup comes to be, or does not. */
export const onCommits: Fault[] = [
  {
    name: "a manifest is stored, its answer lost, and the store silent",
    on: "commit",
    async inflict(world, random) {
      const manifest = await nextManifest(world);
      if (manifest === undefined) return;
      world.storeFault = () => ({ do: "answer", status: 503, code: "SlowDown" });
      manifest.release({ do: "loseAnswer" });
      if (random.oneIn(2)) {
        await manifest.replica.operator.process.stop();
        await manifest.replica.start();
      }
      await seconds(random, 5, 25);
      world.storeFault = undefined;
    },
  },
  {
    name: "an operator stands still past its lease with a manifest on its way",
    on: "commit",
    async inflict(world, random) {
      const manifest = await nextManifest(world);
      manifest?.replica.pause();
      const late = random.oneIn(2);
      if (!late) manifest?.release();
      await seconds(random, leaseSeconds, 2 * leaseSeconds + 2);
      manifest?.replica.resume();
      if (late) manifest?.release();
    },
  },
  {
    name: "an operator is asked to stop with a manifest on its way",
    on: "commit",
    async inflict(world, random) {
      const manifest = await nextManifest(world);
      manifest?.replica.operator.process.signal("SIGTERM");
      await seconds(random, 0, 3);
      manifest?.release(...random.pick<[] | [S3Fault]>([[], [{ do: "reset" }], [{ do: "loseAnswer" }]]));
      await manifest?.replica.operator.process.stop();
      await manifest?.replica.start();
    },
  },
  {
    name: "an operator is killed with a manifest on its way",
    on: "commit",
    async inflict(world, random) {
      const manifest = await nextManifest(world);
      await manifest?.replica.operator.process.kill();
      manifest?.release();
      await seconds(random, 0, 3);
      await manifest?.replica.start();
    },
  },
];
