import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { addBackup } from "../../backup/manifest/manifest.fixture.ts";
import { conditionStatus } from "../../core/conditions.ts";
import { story } from "./story.fixture.ts";
import { until } from "./passes.fixture.ts";
import { type Happening, type World, createWorld, live, settle } from "./world.fixture.ts";

const madeAt = "2026-08-13T12:00:00Z";
const name = "20260813T120000Z-r00000000000000000042-0f1e2d3c4b5ax1";

/** An EtcdBackup that imports `name`. The bucket holds a newer backup, and that one or not. */
async function importing(
  bucket: "full" | "without",
  ...before: Happening[]
): Promise<World & { data: string; manifest: string }> {
  const world = createWorld(3, name);
  const { data, object: manifest } = addBackup(world.bucket, { time: madeAt, ownerUid: "another" });
  addBackup(world.bucket, { time: "2026-08-14T12:00:00Z", revision: 50, runId: "0f1e2d3c4b5ax2" });
  const stored = { data, manifest };
  if (bucket === "without") for (const object of [data, manifest]) world.bucket.objects.delete(object);
  for (const event of before) await world.happen(event);
  return Object.assign(world, stored);
}

function succeededOf({ backup }: World) {
  return backup.status.conditions?.find(({ type }) => type === "Succeeded");
}

function assertFailed(world: World, reason: string, message: RegExp): void {
  const condition = succeededOf(world);
  assert.deepEqual([condition?.status, condition?.reason], ["False", reason], condition?.message);
  assert.match(condition?.message ?? "", message);
  assert.equal(world.events.at(-1), `Backup ${reason}`);
  assert.deepEqual(world.ends, [], "no backup failed");
}

describe("an EtcdBackup that imports a stored backup", () => {
  it("records the facts that the EtcdBackup which made it recorded, a week later", async () => {
    const made = createWorld(3);
    await until(made, "start");
    await made.happen({ what: "time", seconds: 5 });
    await made.happen({ what: "runSucceeds" });
    await until(made, "succeed");
    const world = createWorld(3, made.backup.status.artifact?.name);
    for (const [object, bytes] of made.bucket.objects) world.bucket.objects.set(object, bytes);
    await world.happen({ what: "time", seconds: 7 * 86_400 });
    await until(world, "recordImported");
    const { conditions, attempts: _, ...facts } = made.backup.status;
    const { conditions: imported, ...importedFacts } = world.backup.status;
    assert.deepEqual(importedFacts, facts);
    const statuses = (list = conditions) => list?.map(({ type, status, reason }) => [type, status, reason]);
    assert.deepEqual(statuses(imported), statuses());
    assert.match(succeededOf(world)?.message ?? "", /^imported from the store: a backup of revision 42, /);
  });

  it("asks the store for the two objects of that backup, and lists nothing", async () => {
    const world = await importing("full");
    await until(world, "recordImported");
    assert.deepEqual(world.bucket.calls, [
      `head ${world.manifest}`,
      `get ${world.manifest}`,
      `head ${world.data}`,
    ]);
  });

  it("says so in its event, and is no backup that the metrics count", async () => {
    const world = await importing("full");
    await until(world, "recordImported");
    assert.deepEqual(world.events, ["Backup BackupImported"]);
    assert.match(world.notes[0] ?? "", /EtcdBackupStore s holds revision 42 as 20260813T120000Z-r0+42-/);
    assert.deepEqual(world.ends, []);
    assert.equal(await world.look(), "nothing");
  });

  it("needs no slot and no right to write to the store", async () => {
    const world = await importing("full", { what: "slots", free: 0 }, { what: "store", is: "readOnly" });
    assert.deepEqual(await until(world, "recordImported"), ["initialize"]);
    assert.deepEqual(world.bucket.puts, []);
    assert.deepEqual(
      world.bucket.calls.filter((call) => !/^(head|get) /.test(call)),
      [],
    );
  });

  it("waits for its EtcdBackupStore, and then looks at once", async () => {
    const world = await importing("full", { what: "store", is: "missing" });
    await until(world, "wait");
    assert.equal(succeededOf(world)?.reason, "StoreNotReady");
    await world.happen({ what: "store", is: "found" });
    assert.equal(await world.look(), "recordImported");
    assert.equal(world.backup.status.waitingSince, undefined);
  });

  it("looks again, less and less often, for a backup that the store does not hold yet", async () => {
    const world = await importing("without");
    assert.deepEqual(await until(world, "lookAgain"), ["initialize"]);
    const { status } = world.backup;
    assert.deepEqual(
      [status.startTime, status.nextAttemptTime],
      ["2026-08-20T12:00:00Z", "2026-08-20T12:00:10Z"],
    );
    const condition = succeededOf(world);
    assert.deepEqual([condition?.status, condition?.reason], ["Unknown", "Retrying"]);
    assert.equal(
      condition?.message,
      `EtcdBackupStore s holds no backup ${name} of cluster prod; the operator looks again until 2026-08-20T13:00:00Z`,
    );
    assert.equal(world.events.at(-1), "Backup BackupNotFound");
    const times: (string | undefined)[] = [];
    for (let looks = 0; looks < 4; looks++) {
      assert.equal(await world.look(), "lookAgain");
      times.push(world.backup.status.nextAttemptTime?.slice(11, 19));
    }
    assert.deepEqual(times, ["12:00:20", "12:00:40", "12:01:20", "12:02:40"]);
    addBackup(world.bucket, { time: madeAt });
    await until(world, "recordImported");
    assert.deepEqual(
      [world.backup.status.startTime, world.backup.status.completionTime],
      [madeAt, "2026-08-13T12:00:05Z"],
    );
    assert.equal(world.backup.status.nextAttemptTime, undefined);
  });

  it("begins when its run began, also when the operator looked for it before that", async () => {
    const world = createWorld(3, name.replace("20260813T120000Z", "20260820T120030Z"));
    await until(world, "lookAgain");
    addBackup(world.bucket, { time: "2026-08-20T12:00:30Z" });
    await world.happen({ what: "time", seconds: 60 });
    await until(world, "recordImported");
    const { startTime, duration } = world.backup.status;
    assert.deepEqual([startTime, duration], ["2026-08-20T12:00:30Z", "5.0s"]);
  });

  it("does not ask the store again before its time when the object changes", async () => {
    const world = await importing("without");
    await until(world, "lookAgain");
    await world.happen({ what: "time", seconds: -5 });
    const calls = world.bucket.calls.length;
    assert.equal(await world.look(), "wait");
    assert.equal(world.bucket.calls.length, calls);
    assert.equal(await world.look(), "lookAgain");
  });

  it("fails when the store does not hold the backup within spec.timeoutSeconds", async () => {
    const world = await importing("without");
    const decisions = await until(world, "fail");
    assert.ok(decisions.length < 25, `${decisions.length} passes`);
    assertFailed(world, "BackupNotFound", /holds no backup .*; the operator has looked for 3600 s$/);
    const { startTime, completionTime, duration } = world.backup.status;
    assert.deepEqual(
      [startTime, completionTime, duration],
      ["2026-08-20T12:00:00Z", "2026-08-20T13:00:00Z", "1h 0m"],
    );
  });

  it("fails at once when the manifest is damaged", async () => {
    const world = await importing("full");
    world.bucket.objects.set(world.manifest, Buffer.from('{"formatVersion":1}'));
    await until(world, "fail");
    assertFailed(world, "VerificationFailed", /manifest prod\/20260813T/);
  });

  it("fails at once when the data is missing or has another size", async () => {
    const missing = await importing("full");
    missing.bucket.objects.delete(missing.data);
    await until(missing, "fail");
    assertFailed(missing, "VerificationFailed", /object prod\/20260813T.*\.db\.zst is missing$/);
    const cut = await importing("full");
    cut.bucket.objects.set(cut.data, Buffer.from("da"));
    await until(cut, "fail");
    assertFailed(cut, "VerificationFailed", /object is 2 bytes, the manifest says 4$/);
  });

  it("fails with a hint when a later release made the backup", async () => {
    const world = await importing("full");
    world.bucket.objects.set(world.manifest, Buffer.from('{"formatVersion":2}'));
    await until(world, "fail");
    assertFailed(
      world,
      "InvalidConfiguration",
      /use the release of etcd-backup that wrote it, or a newer one/,
    );
  });

  it("looks again while the store does not answer, and fails when it cannot be used", async () => {
    const silent = await importing("full", { what: "bucket", is: "silent" });
    await until(silent, "lookAgain");
    assert.match(succeededOf(silent)?.message ?? "", /503 SlowDown; the operator looks again until/);
    assert.equal(silent.events.at(-1), "Backup StoreNotReady");
    await silent.happen({ what: "bucket", is: "answers" });
    await until(silent, "recordImported");
    const never = await importing("full", { what: "bucket", is: "silent" });
    await until(never, "fail");
    assert.equal(succeededOf(never)?.reason, "TimedOut");
    const unusable = await importing("full", { what: "bucket", is: "refuses" });
    await until(unusable, "fail");
    assertFailed(unusable, "InvalidConfiguration", /no such region/);
  });

  it("leaves the stored backup when it is deleted, even with a policy that its rules forbid", async () => {
    for (const policy of ["Retain", "Delete"] as const) {
      const world = await importing("full");
      await until(world, "recordImported");
      await world.happen({ what: "policy", is: policy });
      await until(world, "nothing");
      await world.happen({ what: "deleted" });
      for (let pass = 0; pass < 3; pass++) await world.look();
      assert.deepEqual([world.gone, world.inBucket], [true, true], policy);
    }
  });

  it("ends truthfully whatever happens to operator, store and writes, and changes nothing in the store", async () => {
    const bucket = fc.constantFrom("full" as const, "without" as const);
    await fc.assert(
      fc.asyncProperty(story, bucket, async (moments, content) => {
        const world = await importing(content);
        const before = new Map(world.bucket.objects);
        await live(world, moments);
        const looks = await settle(world, "runSucceeds");
        assert.ok(looks <= 30, `${looks} passes`);
        assert.deepEqual(world.bucket.objects, before);
        assert.equal(world.runState(), "none");
        assert.deepEqual([world.ends, world.backup.status.attempts], [[], undefined]);
        const { conditions, nextAttemptTime } = world.backup.status;
        assert.equal(nextAttemptTime, undefined);
        if (content === "without") assert.equal(conditionStatus(conditions, "Succeeded"), "False");
      }),
      { numRuns: 150 },
    );
  });
});
