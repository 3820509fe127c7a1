import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { forceDelete } from "../../core/backup/decide.ts";
import { objectKind } from "../../core/backup/name.ts";
import { conditionStatus } from "../../core/conditions.ts";
import { putClaim } from "../../backup/catalog/claim.ts";
import { addBackup } from "../../backup/manifest/manifest.fixture.ts";
import { putHeartbeat } from "../../backup/catalog/writers.ts";
import { type Happening, type World, createWorld, totalBytes, writerStatus } from "./world.fixture.ts";

const { signal } = new AbortController();

/** Passes until the reconciler has decided this. */
async function until(world: World, decision: string): Promise<void> {
  for (let pass = 0; pass < 30; pass++) if ((await world.look()) === decision) return;
  assert.fail(`${decision} was not decided: ${JSON.stringify(world.backup.status)}`);
}

async function running(backoffLimit = 3): Promise<World> {
  const world = createWorld(backoffLimit);
  await until(world, "start");
  return world;
}

function reasonOf({ backup }: World): string | undefined {
  return backup.status.conditions?.find(({ type }) => type === "Succeeded")?.reason;
}

function assertEnded(world: World, succeeded: "True" | "False", attempts: number): void {
  const { conditions, attempts: counted } = world.backup.status;
  assert.deepEqual(
    [conditionStatus(conditions, "Finished"), conditionStatus(conditions, "Succeeded"), counted],
    ["True", succeeded, attempts],
  );
  assert.deepEqual(world.ends, [succeeded === "True" ? "succeeded" : "failed"]);
}

const manifests = ({ bucket }: World) =>
  [...bucket.objects.keys()].filter((name) => objectKind(name) === "manifest");

describe("an EtcdBackup", () => {
  it("is initialized, started, watched and recorded", async () => {
    const world = await running();
    assert.equal(reasonOf(world), "Connecting");
    await world.happen({ what: "runReports", member: true, bytes: 0 });
    await world.look();
    assert.deepEqual([reasonOf(world), world.backup.status.member?.name], ["MemberSelected", "m"]);
    await world.happen({ what: "runReports", member: false, bytes: 4096 });
    await world.look();
    assert.deepEqual(world.backup.status.progress, { bytes: 4096, totalBytes });
    await world.happen({ what: "runSucceeds" });
    await world.look();
    assertEnded(world, "True", 1);
    assert.equal(world.backup.status.artifact?.manifestURL, `memory://store/${manifests(world)[0]}`);
    assert.deepEqual(world.events, ["Backup SnapshotStarted", "Backup SnapshotSucceeded"]);
  });

  it("whose operator dies after the manifest is recorded as the backup that the store holds", async () => {
    const world = await running();
    await world.happen({ what: "crash", stored: true });
    await until(world, "succeed");
    assertEnded(world, "True", 1);
    assert.equal(manifests(world).length, 1);
  });

  it("that is found in the store a week later tells when it was made, not when it was found", async () => {
    const world = await running();
    await world.happen({ what: "crash", stored: true });
    await world.happen({ what: "time", seconds: 7 * 86_400 });
    await until(world, "succeed");
    const { startTime, completionTime, duration } = world.backup.status;
    assert.deepEqual(
      [startTime, completionTime, duration],
      ["2026-08-20T12:00:00Z", "2026-08-20T12:00:05Z", "5.0s"],
    );
  });

  it("whose operator dies before the manifest begins again, as the next attempt", async () => {
    const world = await running();
    await world.happen({ what: "crash", stored: false });
    await until(world, "takeUpAgain");
    assert.equal(reasonOf(world), "OperatorRestarted");
    await until(world, "start");
    assert.equal(world.backup.status.attempts, 2);
    assert.deepEqual(world.events, [
      "Backup SnapshotStarted",
      "Backup OperatorRestarted",
      "Backup SnapshotStarted",
    ]);
  });

  it("has the data of the dead attempt deleted, before the next one begins", async () => {
    const world = await running();
    const data = `prod/20260820T120000Z-${world.backup.status.runID}.db.zst`;
    world.bucket.objects.set(data, Buffer.from("data"));
    await world.happen({ what: "crash", stored: false });
    await until(world, "takeUpAgain");
    assert.equal(world.bucket.objects.has(data), false);
  });

  it("is not stored twice where the answer to its last request was lost", async () => {
    for (const stored of [true, false]) {
      const world = await running();
      await world.happen({ what: "runFailsUnknown", stored });
      await until(world, stored ? "succeed" : "retry");
      assert.equal(manifests(world).length, stored ? 1 : 0);
    }
  });

  it("waits while the store does not say what it holds, says so, and ends once it answers", async () => {
    const world = await running();
    await world.happen({ what: "runFailsUnknown", stored: true });
    await world.happen({ what: "bucket", is: "silent" });
    assert.equal(await world.look(), "wait");
    assert.match(world.backup.status.conditions?.[0]?.message ?? "", /503 SlowDown/);
    assert.equal(world.events.at(-1), "Backup SnapshotFailed");
    await world.happen({ what: "bucket", is: "answers" });
    await until(world, "succeed");
    assertEnded(world, "True", 1);
  });

  it("begins the same attempt where the answer to recording it was lost", async () => {
    for (const persisted of [true, false]) {
      const world = createWorld(3);
      await world.look();
      await world.happen({ what: "nextWriteIsLost", persisted });
      assert.equal(await world.look(), "start");
      assert.equal(world.runState(), "reserved");
      assert.equal(await world.look(), "start");
      assert.deepEqual([world.runState(), world.backup.status.attempts], ["running", 1]);
    }
  });

  it("is not charged with an attempt that an orderly stop interrupted", async () => {
    const world = await running(0);
    await world.happen({ what: "stopInOrder" });
    assert.equal(world.backup.status.attempts, 0);
    await until(world, "start");
    assert.equal(world.backup.status.attempts, 1);
  });

  it("fails after backoffLimit more attempts, with the reason of the last one as its event", async () => {
    const world = await running(1);
    await world.happen({ what: "runFails" });
    assert.equal(await world.look(), "retry");
    await until(world, "start");
    await world.happen({ what: "runFails" });
    assert.equal(await world.look(), "fail");
    assertEnded(world, "False", 2);
    assert.deepEqual(
      [reasonOf(world), world.events.at(-1)],
      ["BackoffLimitExceeded", "Backup SnapshotFailed"],
    );
  });

  it("keeps the member of a failed attempt in its status", async () => {
    const world = await running();
    await world.happen({ what: "runReports", member: true, bytes: 0 });
    await world.happen({ what: "runFailsForGood" });
    assert.equal(await world.look(), "fail");
    assert.equal(world.backup.status.member?.name, "m");
  });

  it("is cancelled where its store turns ReadOnly, and says why it cannot go on", async () => {
    const world = await running();
    await world.happen({ what: "store", is: "readOnly" });
    assert.equal(await world.look(), "cancel");
    assert.equal(world.runState(), "none");
    await until(world, "fail");
  });

  it("waits for a slot that another run holds", async () => {
    const world = createWorld(3);
    await world.happen({ what: "slots", free: 0 });
    await world.look();
    assert.equal(await world.look(), "wait");
    assert.equal(reasonOf(world), "Pending");
    await world.happen({ what: "slots", free: 1 });
    assert.equal(await world.look(), "start");
  });

  it("loses its run to another object of its name", async () => {
    const world = await running();
    world.replaceObject();
    await world.look();
    assert.equal(world.runState(), "none");
    await until(world, "start");
    assert.equal(world.backup.status.attempts, 1);
  });
});

describe("an EtcdBackup that is deleted", () => {
  const stored = async (...more: Happening[]): Promise<World> => {
    const world = await running();
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
      const world = await running();
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
    const world = await running();
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

describe("an EtcdBackup whose folder another writer holds", () => {
  const holder = { id: "w9", who: "EtcdBackupStore other/main", renewal: 4, nonce: "99999999" };

  /** The other writer holds the folder, and was last heard of so many minutes ago. */
  async function hold({ bucket }: World, silentMinutes: number): Promise<void> {
    const at = Date.parse("2026-08-20T12:00:00Z");
    bucket.now = () => new Date(at - silentMinutes * 60_000);
    const claim = { number: 1, lineage: [{ id: "cafe", number: 1 }], since: "s", reason: "r" };
    await putClaim(bucket, "prod", { ...claim, writer: { id: holder.id, who: holder.who } }, signal);
    await putHeartbeat(bucket, holder, { holdMs: 30 * 60_000 }, signal);
    bucket.now = () => new Date(at);
  }

  it("waits without an attempt, says who holds it, and begins when that one is silent", async () => {
    const world = createWorld(0);
    await hold(world, 10);
    await until(world, "wait");
    const condition = world.backup.status.conditions?.find(({ type }) => type === "Succeeded");
    assert.deepEqual([condition?.status, condition?.reason], ["Unknown", "FolderClaimed"]);
    assert.match(
      condition?.message ?? "",
      /held by EtcdBackupStore other\/main \(writer w9\), which is alive/,
    );
    assert.equal(world.backup.status.attempts, undefined);
    const { resourceVersion } = world.backup.metadata;
    for (let pass = 0; pass < 5; pass++) await world.look();
    assert.equal(world.backup.metadata.resourceVersion, resourceVersion, "a wait changes nothing");
    const before = world.bucket.objects.size;
    world.bucket.now = () => new Date(Date.parse("2026-08-20T12:21:00Z"));
    await until(world, "start");
    assert.equal(world.bucket.objects.size, before);
  });

  it("deletes nothing there, stays, and says why", async () => {
    const world = createWorld(0);
    world.change(({ spec }) => {
      spec.deletionPolicy = "Delete";
    });
    await until(world, "start");
    await world.happen({ what: "runSucceeds" });
    await until(world, "succeed");
    await hold(world, 100);
    await world.happen({ what: "deleted" });
    await until(world, "deleteStored");
    assert.equal(manifests(world).length, 1);
    assert.equal(world.gone, false);
    const stalled = world.backup.status.conditions?.find(({ type }) => type === "Stalled");
    assert.equal(stalled?.reason, "DeletionBlocked");
    assert.match(stalled?.message ?? "", /held by .* \(writer w9\), and only its holder deletes there/);
  });

  it("discards nothing of an attempt that may be the original's, and waits", async () => {
    const world = await running(3);
    const { runID } = world.backup.status;
    const data = `prod/20260820T120000Z-${runID}.db.zst`;
    world.bucket.objects.set(data, Buffer.from("under way in the original"));
    await hold(world, 1);
    await world.happen({ what: "crash", stored: false });
    await until(world, "wait");
    assert.equal(reasonOf(world), "FolderClaimed");
    assert.ok(world.bucket.objects.has(data));
  });
});

describe("an EtcdBackup whose store has not been probed", () => {
  it("waits for it, and begins when the store has a writer", async () => {
    const world = createWorld(0);
    world.setWriter(undefined);
    await until(world, "wait");
    assert.equal(reasonOf(world), "StoreNotReady");
    world.setWriter(writerStatus);
    await until(world, "start");
  });
});

describe("an EtcdBackup whose store the operator of another Lease holds", () => {
  it("is left alone: not initialized, not started, not deleted, and one event says so", async () => {
    const world = createWorld(3);
    world.holdElsewhere();
    for (let pass = 0; pass < 3; pass++) assert.equal(await world.look(), "nothing");
    await world.happen({ what: "policy", is: "Delete" });
    await world.look();
    assert.equal(world.backup.status.conditions, undefined);
    assert.deepEqual(world.events, ["HeldByAnotherOperator"]);
    world.holdElsewhere(false);
    await until(world, "start");
  });

  it("loses its run here, and its status and its objects in the store stay the holder's", async () => {
    const world = await running();
    const { status } = world.backup;
    world.holdElsewhere();
    await world.look();
    assert.equal(world.runState(), "none");
    await world.look();
    assert.deepEqual(world.backup.status, status);
    assert.ok(!world.bucket.calls.some((call) => /^(sweep|remove)/.test(call)), world.bucket.calls.join());
  });
});
