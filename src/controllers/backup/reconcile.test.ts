import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { objectKind } from "../../core/backup/name.ts";
import { conditionStatus } from "../../core/conditions.ts";
import { putClaim } from "../../backup/catalog/claim.ts";
import { putHeartbeat } from "../../backup/catalog/writers.ts";
import { startedWorld, until } from "./passes.fixture.ts";
import { type World, createWorld, totalBytes, writerStatus } from "./world.fixture.ts";

const { signal } = new AbortController();

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
    const world = await startedWorld();
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
    const world = await startedWorld();
    await world.happen({ what: "crash", stored: true });
    await until(world, "succeed");
    assertEnded(world, "True", 1);
    assert.equal(manifests(world).length, 1);
  });

  it("that is found in the store a week later tells when it was made, not when it was found", async () => {
    const world = await startedWorld();
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
    const world = await startedWorld();
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
    const world = await startedWorld();
    const data = `prod/20260820T120000Z-${world.backup.status.runID}.db.zst`;
    world.bucket.objects.set(data, Buffer.from("data"));
    await world.happen({ what: "crash", stored: false });
    await until(world, "takeUpAgain");
    assert.equal(world.bucket.objects.has(data), false);
  });

  it("is not stored twice where the answer to its last request was lost", async () => {
    for (const stored of [true, false]) {
      const world = await startedWorld();
      await world.happen({ what: "runFailsUnknown", stored });
      await until(world, stored ? "succeed" : "retry");
      assert.equal(manifests(world).length, stored ? 1 : 0);
    }
  });

  it("waits while the store does not say what it holds, says so, and ends once it answers", async () => {
    const world = await startedWorld();
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
    const world = await startedWorld(0);
    await world.happen({ what: "stopInOrder" });
    assert.equal(world.backup.status.attempts, 0);
    await until(world, "start");
    assert.equal(world.backup.status.attempts, 1);
  });

  it("fails after backoffLimit more attempts, with the reason of the last one as its event", async () => {
    const world = await startedWorld(1);
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
    const world = await startedWorld();
    await world.happen({ what: "runReports", member: true, bytes: 0 });
    await world.happen({ what: "runFailsForGood" });
    assert.equal(await world.look(), "fail");
    assert.equal(world.backup.status.member?.name, "m");
  });

  it("is cancelled where its store turns ReadOnly, and says why it cannot go on", async () => {
    const world = await startedWorld();
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
    const world = await startedWorld();
    world.replaceObject();
    await world.look();
    assert.equal(world.runState(), "none");
    await until(world, "start");
    assert.equal(world.backup.status.attempts, 1);
  });
});

it("an EtcdBackup whose attempt was cut off makes no second backup where its store leads elsewhere", async () => {
  const [old, other] = ["s3://old", "s3://new"].map((location) => ({ url: location, location }));
  assert.ok(old && other);
  const world = createWorld(3);
  world.moveStore(old);
  await until(world, "start");
  await world.happen({ what: "crash", stored: true });
  world.moveStore(other);
  assert.equal(await world.look(), "wait");
  const succeeded = world.backup.status.conditions?.find(({ type }) => type === "Succeeded");
  assert.match(
    succeeded?.message ?? "",
    /it is unknown what the attempt stored: the attempt wrote to s3:\/\/old/,
  );
  world.moveStore(old);
  await until(world, "succeed");
  assert.equal(world.backup.status.artifact?.storeURL, "s3://old");
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
    const world = await startedWorld(3);
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
    const world = await startedWorld();
    const { status } = world.backup;
    world.holdElsewhere();
    await world.look();
    assert.equal(world.runState(), "none");
    await world.look();
    assert.deepEqual(world.backup.status, status);
    assert.ok(!world.bucket.calls.some((call) => /^(sweep|remove)/.test(call)), world.bucket.calls.join());
  });
});
