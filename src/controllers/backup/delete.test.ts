import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { forceDelete } from "../../core/backup/decide.ts";
import { addBackup } from "../../backup/manifest/manifest.fixture.ts";
import { startedWorld, until } from "./passes.fixture.ts";
import { type Happening, type World, createWorld } from "./world.fixture.ts";

describe("an EtcdBackup that is deleted", () => {
  const stored = async (...more: Happening[]): Promise<World> => {
    const world = await startedWorld();
    await world.happen({ what: "policy", is: "Delete" });
    await world.look();
    await world.happen({ what: "runSucceeds" });
    await world.look();
    for (const event of more) await world.happen(event);
    return world;
  };

  it("takes its stored backup along where the policy says so, and its finalizer last", async () => {
    const world = await stored({ what: "deleted" });
    assert.equal(await world.look(), "recordDeleting");
    assert.equal(world.inBucket, true);
    assert.equal(await world.look(), "deleteStored");
    assert.deepEqual([world.inBucket, world.gone], [false, true]);
    assert.equal(world.events.filter((event) => event === "Delete StoredBackupDeleted").length, 1);
  });

  it("stays, and says why, while the store cannot delete", async () => {
    const world = await stored({ what: "deleted" }, { what: "bucket", is: "silent" });
    await until(world, "deleteStored");
    assert.equal(await world.look(), "deleteStored");
    const stalled = world.backup.status.conditions?.find(({ type }) => type === "Stalled");
    assert.deepEqual([stalled?.status, stalled?.reason, world.gone], ["True", "DeletionBlocked", false]);
    await world.happen({ what: "bucket", is: "answers" });
    await world.look();
    assert.deepEqual([world.inBucket, world.gone], [false, true]);
  });

  for (const [what, made, now] of [
    ["another bucket", "s3://old", "s3://new"],
    ["another prefix", "s3://old/etcd", "s3://old"],
    ["another directory", "file:///mnt/a", "file:///mnt/b"],
    ["another endpoint", "s3://old?endpoint=https://a:9000", "s3://old?endpoint=https://b:9000"],
    ["an endpoint in place of Amazon S3", "s3://old", "s3://old?endpoint=https://b:9000"],
  ] as const)
    it(`stays where its store is ${what} now, says so, and deletes nothing there`, async () => {
      const placeOf = (location: string) => ({ url: location.replace(/\?.*/, ""), location });
      const world = await startedWorld();
      world.moveStore(placeOf(made));
      await world.happen({ what: "policy", is: "Delete" });
      await world.look();
      await world.happen({ what: "runSucceeds" });
      await world.look();
      world.moveStore(placeOf(now));
      await world.happen({ what: "deleted" });
      await until(world, "deleteStored");
      const stalled = world.backup.status.conditions?.find(({ type }) => type === "Stalled");
      assert.deepEqual([stalled?.reason, world.inBucket, world.gone], ["DeletionBlocked", true, false]);
      const message = stalled?.message ?? "";
      assert.ok(message.includes(`was stored in ${made},`), message);
      assert.ok(message.includes(`EtcdBackupStore s is ${now} now`), message);
      world.moveStore(placeOf(made));
      await world.look();
      assert.deepEqual([world.inBucket, world.gone], [false, true]);
    });

  it("stays where its attempt was cut off and its store leads elsewhere, and goes where it leads there again", async () => {
    const [old, other] = ["s3://old", "s3://new"].map((location) => ({ url: location, location }));
    assert.ok(old && other);
    const world = createWorld(3);
    world.moveStore(old);
    await world.happen({ what: "policy", is: "Delete" });
    await until(world, "start");
    await world.happen({ what: "crash", stored: true });
    world.moveStore(other);
    await world.happen({ what: "deleted" });
    await until(world, "deleteStored");
    const stalled = world.backup.status.conditions?.find(({ type }) => type === "Stalled");
    assert.deepEqual([stalled?.reason, world.inBucket, world.gone], ["DeletionBlocked", true, false]);
    assert.match(
      stalled?.message ?? "",
      /attempt wrote to s3:\/\/old, and EtcdBackupStore s is s3:\/\/new now/,
    );
    world.moveStore(old);
    await world.look();
    assert.deepEqual([world.inBucket, world.gone], [false, true]);
  });

  it("says that older versions remain in a bucket with versioning", async () => {
    const capabilities = { conditionalWrites: true, checksums: true, objectLock: false };
    for (const [more, expected] of [
      [{ versioning: true }, /has versioning: older versions of the objects remain/],
      [{ versioning: true, objectLock: true }, /has object lock/],
      [{ versioning: false }, /as spec\.deletionPolicy says$/],
      [{}, /as spec\.deletionPolicy says$/],
    ] as const) {
      const world = await stored({ what: "deleted" });
      world.setCapabilities({ ...capabilities, ...more });
      await until(world, "deleteStored");
      assert.match(world.notes.at(-1) ?? "", expected);
    }
  });

  it("does not say so where spec.s3.versions is Remove", async () => {
    for (const objectLock of [false, true]) {
      const world = await stored({ what: "deleted" });
      world.setCapabilities({ conditionalWrites: true, checksums: true, objectLock, versioning: true });
      world.changeStore(({ spec }) => {
        spec.s3 = { bucket: "backups", forcePathStyle: false, checksum: "Auto", versions: "Remove" };
      });
      await until(world, "deleteStored");
      assert.match(world.notes.at(-1) ?? "", /as spec\.deletionPolicy says$/);
    }
  });

  it("is released by the annotation, and leaves its stored backup", async () => {
    const world = await stored({ what: "deleted" }, { what: "bucket", is: "refuses" });
    world.change(({ metadata }) => {
      metadata.annotations = { [forceDelete]: "true" };
    });
    assert.equal(await world.look(), "removeFinalizer");
    assert.deepEqual([world.inBucket, world.gone], [true, true]);
  });

  it("ends its run before anything is deleted", async () => {
    const world = await startedWorld();
    await world.happen({ what: "policy", is: "Delete" });
    await world.look();
    await world.happen({ what: "deleted" });
    assert.equal(await world.look(), "cancel");
    assert.equal(world.runState(), "none");
    await until(world, "deleteStored");
    assert.equal(world.gone, true);
  });
});

describe("deleting an EtcdBackup among many", () => {
  it("lists only what was named about its time, and deletes what its status names", async () => {
    const world = createWorld(0);
    world.change(({ spec }) => {
      spec.deletionPolicy = "Delete";
    });
    await until(world, "start");
    await world.happen({ what: "runSucceeds" });
    await until(world, "succeed");
    const begin = Date.parse("2026-01-01T00:00:00Z");
    for (let hour = 0; hour < 10_000; hour++) {
      const time = `${new Date(begin + hour * 3_600_000).toISOString().slice(0, 19)}Z`;
      addBackup(world.bucket, { time, runId: `other${hour}`, ownerUid: "another" });
    }
    const list = world.bucket.list.bind(world.bucket);
    let listed = 0;
    world.bucket.list = async function* (...args) {
      for await (const object of list(...args)) {
        listed++;
        yield object;
      }
    };
    const before = world.bucket.objects.size;
    await world.happen({ what: "deleted" });
    for (let pass = 0; pass < 5 && !world.gone; pass++) await world.look();
    assert.equal(world.gone, true);
    assert.equal(world.bucket.objects.size, before - 2);
    assert.ok(listed > 0 && listed < 1_000, `${listed} objects were listed`);
  });
});
