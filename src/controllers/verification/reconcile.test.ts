import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { putClaim } from "../../backup/catalog/claim.ts";
import { OperatorError } from "../../core/errors.ts";
import { verificationWorld } from "./world.fixture.ts";

const { signal } = new AbortController();
const day = (n: number) => `2026-08-${String(n).padStart(2, "0")}T03:00:00Z`;
const schedule = "0 3 * * *";

describe("the verifications of a store", () => {
  it("take one backup of each cluster a time, those first that were verified longest ago", async () => {
    const world = verificationWorld();
    for (const n of [1, 2, 3]) world.add(n);
    world.add(4, "lab");
    assert.deepEqual(await world.live("2026-08-20T13:00:00Z"), []);
    assert.deepEqual(await world.live(day(21)), ["lab/run4", "prod/run1"]);
    assert.deepEqual(await world.live(day(22)), ["lab/run4", "prod/run2"]);
    assert.deepEqual(await world.live(day(23)), ["lab/run4", "prod/run3"]);
    assert.deepEqual(await world.live(day(24)), ["lab/run4", "prod/run1"]);
    assert.deepEqual(world.records(), [
      "lab/verification/00000000000000000004-sound.json",
      "prod/verification/00000000000000000004-sound.json",
    ]);
    assert.deepEqual(world.verification(), {
      lastTime: day(24),
      lastSuccessfulTime: day(24),
      nextTime: day(25),
      handledUntil: day(24),
      handledSchedule: `${schedule} UTC`,
      verified: 2,
      failed: 0,
    });
    assert.equal(world.condition()?.status, "True");
    assert.deepEqual(world.told(), []);
  });

  it("take the newest that can be restored with which: Latest", async () => {
    const world = verificationWorld({ verify: { schedule, timeZone: "UTC", which: "Latest" } });
    world.add(1);
    const second = world.add(2);
    assert.deepEqual(await world.live(day(21)), ["prod/run2"]);
    world.damage(second.data);
    // A damaged backup is read twice.
    assert.deepEqual(await world.live(day(22)), ["prod/run2", "prod/run2"]);
    assert.deepEqual(await world.live(day(23)), ["prod/run1", "prod/run2", "prod/run2"]);
  });

  it("make up for one of several missed times, and go on after a restart where they were", async () => {
    const world = verificationWorld();
    world.add(1);
    world.add(2, "lab");
    await world.live("2026-08-20T13:00:00Z");
    world.set("2026-08-25T12:00:00Z");
    world.restart();
    await world.probe();
    assert.equal(await world.pass(), 0);
    assert.deepEqual(world.records(), ["lab/verification/00000000000000000001-sound.json"]);
    world.restart();
    await world.probe();
    assert.deepEqual((await world.settle()).verified, ["prod/run1"]);
    assert.equal(world.records().length, 2);
    world.restart();
    await world.probe();
    assert.deepEqual((await world.settle()).verified, []);
  });

  it("are not repeated by a clock that is set back, and do not stop where it was far ahead", async () => {
    const world = verificationWorld();
    world.add(1);
    world.add(2);
    assert.deepEqual(await world.live(day(21)), ["prod/run1"]);
    world.set("2026-08-21T02:00:00Z");
    assert.deepEqual((await world.settle()).verified, []);
    assert.deepEqual(await world.live("2027-08-21T12:00:00Z"), ["prod/run2"]);
    assert.deepEqual(await world.live("2026-08-21T12:00:00Z"), []);
    assert.deepEqual(await world.live(day(22)), ["prod/run2"]);
  });

  it("end with spec.verify, and say so when its schedule cannot be used", async () => {
    const world = verificationWorld();
    world.add(1);
    await world.live(day(21));
    world.changeStore(({ spec }) => {
      spec.verify = { schedule: "0 0 31 2 *", timeZone: "UTC", which: "Rotating" };
    });
    assert.deepEqual(await world.live(day(22)), []);
    assert.equal(world.condition()?.reason, "InvalidSchedule");
    world.changeStore(({ spec }) => {
      delete spec.verify;
    });
    assert.deepEqual(await world.live(day(23)), []);
    assert.deepEqual([world.condition(), world.verification()], [undefined, undefined]);
  });

  it("wait for the listing of the store", async () => {
    const world = verificationWorld();
    world.add(1);
    await world.live("2026-08-20T13:00:00Z");
    world.set(day(21));
    world.restart();
    assert.equal(await world.pass(), 15_000);
  });
});

describe("a backup that no longer verifies", () => {
  async function damaged() {
    const world = verificationWorld();
    const [first, second] = [world.add(1), world.add(2)];
    world.createBackup("made", first.name);
    await world.live("2026-08-20T13:00:00Z");
    world.damage(first.data);
    await world.live(day(21));
    return { world, first, second };
  }

  it("is an alarm on its store and its EtcdBackup, is left in place, and counts for no rule of retention", async () => {
    const { world, first, second } = await damaged();
    const { condition } = { condition: world.condition() };
    assert.deepEqual([condition?.status, condition?.reason], ["False", "VerificationFailed"]);
    assert.match(condition?.message ?? "", new RegExp(`${first.place}, at ${day(21)}: .*stored SHA-256`));
    const { failed, failing, lastSuccessfulTime } = world.verification() ?? {};
    assert.deepEqual([failed, failing?.[0]?.backup, lastSuccessfulTime], [1, first.name, undefined]);
    assert.deepEqual(
      world.told().map((text) => text.slice(0, text.indexOf(" no longer"))),
      [
        `EtcdBackupStore VerificationFailed: the stored backup ${first.place}`,
        `EtcdBackup VerificationFailed: the stored backup ${first.place}`,
      ],
    );
    assert.deepEqual(world.woken, ["ns/made"]);
    assert.ok(world.bucket.objects.has(first.data) && world.bucket.objects.has(first.manifest));
    const folder = new Map((await world.folder()).map(({ name, problem }) => [name, problem]));
    assert.match(folder.get(first.name) ?? "", /^its last verification failed on/);
    assert.equal(folder.get(second.name), undefined);
  });

  it("is verified again at each time, and ends the alarm once it is repaired", async () => {
    const { world, first } = await damaged();
    await world.live(day(22));
    assert.equal(world.condition()?.status, "False");
    assert.equal(world.told().length, 2, "a failure is told once");
    world.repair(first.data);
    assert.deepEqual(await world.live(day(23)), ["prod/run1"]);
    assert.equal(world.condition()?.status, "True");
    assert.equal(world.verification()?.failed, 0);
    assert.deepEqual(world.told().slice(2), [
      `EtcdBackupStore VerifiedAgain: the stored backup ${first.place} verifies again`,
      `EtcdBackup VerifiedAgain: the stored backup ${first.place} verifies again`,
    ]);
  });

  it("ends the alarm when it is deleted, also after a restart", async () => {
    const { world, first } = await damaged();
    world.restart();
    await world.probe();
    assert.equal(world.condition()?.status, "False");
    world.bucket.objects.delete(first.manifest);
    world.bucket.objects.delete(first.data);
    await world.probe();
    assert.equal(world.condition()?.reason, "NotVerifiedYet");
  });

  it("is found where its data is gone, and where its manifest is damaged", async () => {
    const world = verificationWorld();
    const [data, manifest] = [world.add(1), world.add(2, "lab")];
    world.bucket.objects.delete(data.data);
    world.bucket.objects.set(manifest.manifest, Buffer.from("{"));
    await world.live(day(21));
    assert.deepEqual(
      world.verification()?.failing?.map(({ clusterName, problem }) => `${clusterName}: ${problem}`),
      [`lab: manifest ${manifest.manifest}: it is not JSON`, `prod: object ${data.data} is missing`],
    );
  });
});

describe("what is no damage", () => {
  it("a short answer that the next read does not repeat", async () => {
    const world = verificationWorld();
    const { data } = world.add(1);
    await world.live("2026-08-20T13:00:00Z");
    const { get } = world.bucket;
    let reads = 0;
    world.bucket.get = async function* (name, options) {
      if (name === data) reads += 1;
      for await (const chunk of get.call(world.bucket, name, options)) {
        yield chunk;
        if (name === data && reads === 1) return;
      }
    };
    world.set(day(21));
    await world.settle();
    await world.probe();
    assert.equal(reads, 2);
    assert.equal(world.condition()?.status, "True");
    assert.deepEqual(world.told(), []);
  });

  it("a backup that retention removes while it is read", async () => {
    const world = verificationWorld();
    const { data, manifest } = world.add(1);
    world.add(2);
    await world.live("2026-08-20T13:00:00Z");
    world.bucket.beforeCall = (call, name) => {
      if (call !== "get" || name !== data) return;
      world.bucket.objects.delete(manifest);
      world.bucket.objects.delete(data);
    };
    await world.live(day(21));
    assert.deepEqual([world.condition()?.status, world.verification()?.verified], ["True", 1]);
    assert.deepEqual(world.told(), []);
  });

  it("a store that does not answer: it is said in status, and another backup is tried after five minutes", async () => {
    const world = verificationWorld();
    const first = world.add(1);
    world.add(2);
    await world.live("2026-08-20T13:00:00Z");
    world.bucket.beforeCall = (call, name) => {
      if (call === "get" && name === first.data)
        throw new OperatorError("Unreachable", "the store does not answer");
    };
    world.set(day(21));
    assert.equal((await world.settle()).againAfterMs, 300_000);
    await world.probe();
    assert.equal(world.condition()?.reason, "NotVerifiedYet");
    assert.match(world.condition()?.message ?? "", /waits: the store does not answer/);
    assert.equal(world.verification()?.failed, 0);
    world.set("2026-08-21T03:05:00Z");
    assert.deepEqual((await world.settle()).verified, ["prod/run2"]);
    await world.probe();
    assert.doesNotMatch(world.condition()?.message ?? "", /waits/);
    assert.equal(world.verification()?.handledUntil, day(21));
  });

  it("a backup of a later release, which is never read", async () => {
    const world = verificationWorld();
    const { manifest } = world.add(1);
    world.add(2);
    world.bucket.objects.set(manifest, Buffer.from('{"formatVersion":99}'));
    assert.deepEqual(await world.live(day(21)), ["prod/run2"]);
    assert.equal(world.verification()?.failed, 0);
  });
});

describe("a folder of another writer", () => {
  const claim = { number: 1, lineage: [{ id: "cafe", number: 0 }], since: "s", reason: "r" };

  it("is neither verified nor written to", async () => {
    const world = verificationWorld();
    world.add(1);
    world.add(2, "lab");
    await putClaim(world.bucket, "prod", { ...claim, writer: { id: "another", who: "" } }, signal);
    assert.deepEqual(await world.live(day(21)), ["lab/run2"]);
    assert.deepEqual(world.records(), ["lab/verification/00000000000000000001-sound.json"]);
  });

  it("that is taken over while a backup is read gets no record", async () => {
    const world = verificationWorld();
    const { data } = world.add(1);
    await world.live("2026-08-20T13:00:00Z");
    world.bucket.beforeCall = async (call, name) => {
      if (call !== "get" || name !== data) return;
      world.bucket.beforeCall = () => {};
      await putClaim(world.bucket, "prod", { ...claim, writer: { id: "another", who: "" } }, signal);
    };
    await world.live(day(21));
    assert.deepEqual(world.records(), []);
    assert.equal(world.verification()?.handledUntil, day(21));
  });
});

describe("a ReadOnly store", () => {
  it("is verified without a write, and its failures outlive the process in status", async () => {
    const world = verificationWorld({ accessMode: "ReadOnly" });
    const first = world.add(1);
    world.damage(first.data);
    const before = [...world.bucket.objects.keys()];
    await world.live(day(21));
    assert.deepEqual([...world.bucket.objects.keys()], before);
    assert.equal(world.verification()?.failed, 1);
    world.restart();
    await world.probe();
    assert.equal(world.condition()?.status, "False");
    assert.match((await world.folder())[0]?.problem ?? "", /last verification failed/);
    world.repair(first.data);
    await world.live(day(22));
    assert.equal(world.condition()?.status, "True");
  });
});

describe("a verification under way", () => {
  /** The pass waits in the read of the data until the test goes on. */
  async function reading() {
    const world = verificationWorld();
    const { data } = world.add(1);
    await world.live("2026-08-20T13:00:00Z");
    const begun = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    world.bucket.beforeCall = async (call, name) => {
      if (call !== "get" || name !== data) return;
      begun.resolve();
      await goOn.promise;
    };
    world.set(day(21));
    const pass = world.pass();
    await begun.promise;
    return { world, pass, goOn };
  }

  it("stops when its store changes or is lost, marks nothing, and is no failure", async () => {
    const { world, pass, goOn } = await reading();
    world.running.stop(world.key, "another operator holds the store");
    goOn.resolve();
    assert.equal(await pass, 1_000);
    assert.deepEqual(world.records(), []);
    await world.probe();
    assert.equal(world.verification()?.failed, 0);
  });

  it("stops when the hold of its store could not be renewed for long", async (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    const { world, pass, goOn } = await reading();
    world.set("2026-08-21T03:09:00Z");
    t.mock.timers.tick(1_000);
    world.set("2026-08-21T03:10:00Z");
    t.mock.timers.tick(1_000);
    goOn.resolve();
    assert.equal(await pass, 1_000);
    assert.deepEqual(world.records(), []);
  });

  it("does not hold up the probes of its store", async () => {
    const { world, pass, goOn } = await reading();
    const before = world.status().lastProbeTime;
    await world.probe();
    assert.notEqual(world.status().lastProbeTime, before);
    goOn.resolve();
    await pass;
    assert.equal(world.records().length, 1);
  });
});
