import type { S3Fault } from "../support/s3-fault-proxy.ts";
import { type Fault, seconds } from "./fault.ts";
import { type Replica, leaseSeconds } from "./replica.ts";
import { type Testbed, writerOf } from "./testbed.ts";

/** Holds the next put of a manifest. Returns its writer and what releases it; undefined when none comes within 8 s. */
async function nextManifest(
  testbed: Testbed,
): Promise<{ replica: Replica; release(fault?: S3Fault): void } | undefined> {
  const arrived = Promise.withResolvers<Replica | undefined>();
  const released = Promise.withResolvers<S3Fault | undefined>();
  const timer = setTimeout(() => arrived.resolve(undefined), 8_000);
  testbed.storeFault = ({ operation, url, headers }) => {
    if (operation !== "Put" || !/\/prod\/[^/]+\.json/.test(url)) return undefined;
    arrived.resolve(testbed.replicas.find(({ instance }) => instance === writerOf(headers)));
    return released.promise;
  };
  const replica = await arrived.promise;
  clearTimeout(timer);
  testbed.storeFault = undefined;
  if (replica === undefined) {
    released.resolve(undefined);
    return undefined;
  }
  return { replica, release: released.resolve };
}

/** Faults while a manifest is put, which is the commit of a backup. */
export const onCommits: Fault[] = [
  {
    name: "a manifest is stored, its answer is lost, and the store answers no more",
    on: "commit",
    async inflict(testbed, random) {
      const manifest = await nextManifest(testbed);
      if (manifest === undefined) return;
      testbed.storeFault = () => ({ do: "answer", status: 503, code: "SlowDown" });
      manifest.release({ do: "loseAnswer" });
      if (random.oneIn(2)) {
        await manifest.replica.operator.process.stop();
        await manifest.replica.start();
      }
      await seconds(random, 5, 25);
      testbed.storeFault = undefined;
    },
  },
  {
    name: "an operator is paused past its lease while it puts a manifest",
    on: "commit",
    async inflict(testbed, random) {
      const manifest = await nextManifest(testbed);
      manifest?.replica.pause();
      const releaseLate = random.oneIn(2);
      if (!releaseLate) manifest?.release();
      await seconds(random, leaseSeconds, 2 * leaseSeconds + 2);
      manifest?.replica.resume();
      if (releaseLate) manifest?.release();
    },
  },
  {
    name: "an operator gets SIGTERM while it puts a manifest",
    on: "commit",
    async inflict(testbed, random) {
      const manifest = await nextManifest(testbed);
      manifest?.replica.operator.process.signal("SIGTERM");
      await seconds(random, 0, 3);
      manifest?.release(...random.pick<[] | [S3Fault]>([[], [{ do: "reset" }], [{ do: "loseAnswer" }]]));
      await manifest?.replica.operator.process.stop();
      await manifest?.replica.start();
    },
  },
  {
    name: "an operator is killed while it puts a manifest",
    on: "commit",
    async inflict(testbed, random) {
      const manifest = await nextManifest(testbed);
      await manifest?.replica.operator.process.kill();
      manifest?.release();
      await seconds(random, 0, 3);
      await manifest?.replica.start();
    },
  },
];
