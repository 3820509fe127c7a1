import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { objectKind } from "../../core/backup/name.ts";
import { OperatorError } from "../../core/errors.ts";
import { putClaim } from "../../backup/catalog/claim.ts";
import { addBackup } from "../../backup/manifest/manifest.fixture.ts";
import { noRoute } from "../../kube/memory-api/memory-api.fixture.ts";
import { type ScheduleWorld, createScheduleWorld } from "./world.fixture.ts";

const { signal } = new AbortController();

const manifests = ({ bucket }: ScheduleWorld) =>
  [...bucket.objects.keys()]
    .filter((object) => objectKind(object) === "manifest")
    .map((object) => Number(/-r(\d+)-/.exec(object)?.[1]))
    .toSorted((a, b) => a - b);
const dataCount = ({ bucket }: ScheduleWorld) =>
  [...bucket.objects.keys()].filter((object) => objectKind(object) === "data").length;

function removeData(world: ScheduleWorld, revision: number): void {
  removeObjects(world, (object) => object.includes(`run${revision}.db`));
}

function removeManifest(world: ScheduleWorld, revision: number): void {
  removeObjects(world, (object) => object.endsWith(`run${revision}.json`));
}

function removeObjects({ bucket }: ScheduleWorld, isMeant: (object: string) => boolean): void {
  const meant = [...bucket.objects.keys()].filter(isMeant);
  assert.equal(meant.length, 1);
  for (const object of meant) bucket.objects.delete(object);
}

/** Lives through so many hours, with a backup in each. */
async function hours(world: ScheduleWorld, revisions: readonly number[]): Promise<void> {
  for (const revision of revisions) {
    await world.live(3_600);
    world.store(revision);
    await world.list();
    await world.live(60);
  }
}

describe("the retention of an EtcdBackupSchedule", () => {
  it("removes what no rule keeps after a success, with its data and its EtcdBackup, and says so", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 2 } });
    await hours(world, [1, 2]);
    assert.deepEqual(manifests(world), [1, 2]);
    assert.equal(world.status.retention?.next.length, 1, "the plan is shown before it acts");
    const [coming] = world.status.retention?.next ?? [];
    await hours(world, [3]);
    assert.deepEqual([manifests(world), dataCount(world)], [[2, 3], 2]);
    assert.equal(world.children().length, 2);
    assert.ok(coming?.backup.includes("-r00000000000000000001-"));
    assert.ok(
      world.events.some((event) => event.startsWith(`BackupRemoved: ${coming?.backup}: no rule keeps it`)),
    );
    const { recoveryWindow, retention } = world.status;
    assert.deepEqual([recoveryWindow?.count, retention?.removed, retention?.kept], [2, 1, 2]);
    assert.deepEqual(
      [world.condition("Retained")?.status, world.condition("Retained")?.reason],
      ["True", "CarriedOut"],
    );
  });

  it("keeps everything without a rule, and tells what can be restored", async () => {
    const world = createScheduleWorld();
    await hours(world, [1, 2, 3]);
    assert.deepEqual(manifests(world), [1, 2, 3]);
    assert.equal(world.status.recoveryWindow?.count, 3);
    assert.deepEqual(world.status.retention?.next, []);
  });

  it("leaves backups of others alone, whatever they are", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    for (const [index, series] of [
      undefined,
      { name: "prod" },
      { name: "other", namespace: "ns", kubernetesCluster: "k1" },
      { name: "prod", namespace: "ns", kubernetesCluster: "k2" },
    ].entries())
      addBackup(world.bucket, {
        time: "2026-08-19T12:00:00Z",
        revision: 1 + index,
        runId: `other${index}`,
        ...(series === undefined ? {} : { series }),
      });
    await hours(world, [11, 12, 13]);
    assert.deepEqual(manifests(world), [1, 2, 3, 4, 13]);
    assert.equal(world.status.recoveryWindow?.count, 1);
  });

  it("removes those of another Kubernetes cluster once adoptFrom names it", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1, adoptFrom: "k2" } });
    const series = { name: "prod", namespace: "ns", kubernetesCluster: "k2" };
    addBackup(world.bucket, { time: "2026-08-19T12:00:00Z", revision: 1, runId: "other1", series });
    await hours(world, [11]);
    assert.deepEqual(manifests(world), [11]);
  });

  it("removes nothing before a backup has succeeded, nor after one that failed", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    const series = { name: "prod", namespace: "ns", kubernetesCluster: "k1" };
    for (const revision of [1, 2])
      addBackup(world.bucket, {
        time: `2026-08-19T1${revision}:00:00Z`,
        revision,
        runId: `run${revision}`,
        series,
      });
    await world.list();
    await world.live(3_600);
    world.end("Failed");
    await world.live(60);
    assert.deepEqual(manifests(world), [1, 2]);
    await hours(world, [3]);
    assert.deepEqual(manifests(world), [3]);
  });

  it("removes nothing where the store no longer lists the newest backup, and says so", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    await hours(world, [1]);
    await world.live(3_600);
    const name = world.store(2);
    for (const object of world.bucket.objects.keys())
      if (object.includes("-r00000000000000000002-")) world.bucket.objects.delete(object);
    world.advance(30);
    await world.list();
    await world.settle();
    assert.deepEqual(manifests(world), [1]);
    assert.match(world.condition("Retained")?.message ?? "", new RegExp(`^the store does not list ${name}`));
  });

  it("keeps what a rule needs in place of a backup that was damaged after the listing", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 2 } });
    await hours(world, [1, 2]);
    await world.live(3_600);
    world.store(3);
    await world.list();
    removeData(world, 2);
    await world.live(60);
    assert.deepEqual(manifests(world), [1, 2, 3]);
    assert.deepEqual(
      [world.condition("Retained")?.status, world.status.retention?.kept, world.status.recoveryWindow?.count],
      ["True", 3, 2],
    );
  });

  it("removes nothing once the data of the newest backup is gone, though the listing showed it", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    await hours(world, [1]);
    await world.live(3_600);
    const name = world.store(2);
    await world.list();
    removeData(world, 2);
    await world.live(60);
    assert.deepEqual(manifests(world), [1, 2]);
    assert.match(
      world.condition("Retained")?.message ?? "",
      new RegExp(`^${name}, the newest backup, does not verify: .* is missing`),
    );
  });

  it("removes nothing when the listing of that moment breaks off", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    await hours(world, [1]);
    await world.live(3_600);
    world.store(2);
    await world.list();
    world.bucket.beforeCall = async (call) => {
      if (call === "list") throw new OperatorError("StoreFailed", "the listing broke off");
    };
    assert.equal(await world.settle(), 60_000);
    assert.deepEqual(manifests(world), [1, 2]);
    assert.match(world.condition("Retained")?.message ?? "", /^no plan can be made: the listing broke off/);
  });

  it("deletes the EtcdBackup of a backup that it removed before the API server failed", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    await hours(world, [1]);
    world.api.beforeRequest = ({ verb }) => {
      if (verb === "delete") throw noRoute();
    };
    await hours(world, [2]);
    assert.deepEqual([manifests(world), world.children().length], [[2], 2]);
    assert.match(world.condition("Retained")?.message ?? "", /^EtcdBackup prod-.* cannot be deleted: /);
    assert.equal(world.status.retention?.removed, 1);
    world.api.beforeRequest = () => {};
    await hours(world, [3]);
    assert.deepEqual([manifests(world), world.children().length], [[3], 1]);
    assert.equal(world.condition("Retained")?.status, "True");
    assert.equal(world.status.retention?.removed, 2);
  });

  it("deletes the EtcdBackups whose backups a person has removed, of this store and cluster alone", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 9 } });
    await hours(world, [1, 2, 3]);
    const [first = "", second = "", third = ""] = world.names();
    for (const revision of [1, 2, 3]) {
      removeData(world, revision);
      removeManifest(world, revision);
    }
    world.changeBackup(second, ({ status }) => {
      if (status.artifact !== undefined) status.artifact.storeURL = "s3://another";
    });
    world.changeBackup(third, ({ spec }) => void (spec.clusterName = "another"));
    await hours(world, [4]);
    assert.deepEqual(world.names().slice(0, -1), [second, third]);
    assert.ok(
      world.events.includes(`RecordRemoved: EtcdBackup ${first}: its backup is not in the store any more`),
    );
  });

  it("waits for a listing, and takes one that fails for none", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    await hours(world, [1]);
    await world.live(3_600);
    world.store(2);
    world.bucket.beforeCall = async () => {
      throw new OperatorError("Unreachable", "no network");
    };
    await assert.rejects(world.list());
    assert.equal(await world.settle(), 15_000);
    assert.equal(world.condition("Retained")?.status, "True");
    world.bucket.beforeCall = async () => {};
    await world.list();
    await world.live(60);
    assert.deepEqual(manifests(world), [2]);
  });

  it("reports a success also while the store cannot be read, and carries out later", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    await hours(world, [1]);
    await world.live(3_600);
    world.store(2);
    await world.list();
    world.bucket.beforeCall = async () => {
      throw new OperatorError("Unreachable", "no network");
    };
    assert.equal(await world.settle(), 60_000);
    assert.equal(world.status.lastBackup, world.names().at(-1));
    assert.match(world.condition("Retained")?.message ?? "", /^no plan can be made: no network/);
    world.bucket.beforeCall = async () => {};
    await world.live(60);
    assert.deepEqual(manifests(world), [2]);
    assert.equal(world.condition("Retained")?.status, "True");
  });

  it("leaves a locked backup, removes the others, says so, and removes it when the lock has ended", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 4 } });
    await hours(world, [1, 2, 3, 4]);
    world.change(({ spec }) => void (spec.retention = { keepLast: 1 }));
    let isLocked = true;
    world.bucket.beforeCall = async (call, name) => {
      if (isLocked && call === "remove" && name.includes("-r00000000000000000002-"))
        throw new OperatorError("Refused", "the object is locked until 2026-09-01");
    };
    await hours(world, [5]);
    assert.deepEqual(manifests(world), [2, 5]);
    const condition = world.condition("Retained");
    assert.deepEqual([condition?.status, condition?.reason], ["False", "RemovalBlocked"]);
    assert.match(
      condition?.message ?? "",
      /-r00000000000000000002-.* cannot be removed: the object is locked/,
    );
    isLocked = false;
    await world.live(3_500);
    assert.deepEqual(manifests(world), [2, 5]);
    await world.live(200);
    assert.deepEqual(manifests(world), [5]);
    assert.equal(world.condition("Retained")?.status, "True");
  });

  it("goes on where the operator died between manifest and record, and lists no backup without data", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    await hours(world, [1]);
    let broken = false;
    world.bucket.beforeCall = async (call, name) => {
      if (!broken && call === "remove" && name.includes(".db")) {
        broken = true;
        throw new OperatorError("Unreachable", "the connection broke");
      }
    };
    await hours(world, [2]);
    assert.deepEqual([manifests(world), dataCount(world)], [[2], 2]);
    assert.equal(world.condition("Retained")?.status, "False");
    world.restart();
    await world.list();
    await hours(world, [3]);
    assert.deepEqual(manifests(world), [3]);
    assert.equal(world.condition("Retained")?.status, "True");
  });

  it("removes many in several passes, oldest first", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    const series = { name: "prod", namespace: "ns", kubernetesCluster: "k1" };
    for (let revision = 1; revision <= 50; revision++)
      addBackup(world.bucket, {
        time: `2026-08-19T12:00:${String(revision).padStart(2, "0")}Z`,
        revision,
        runId: `run${revision}`,
        series,
      });
    await hours(world, [100]);
    assert.deepEqual(manifests(world), [100]);
    assert.equal(world.status.retention?.removed, 50);
  });

  it("removes nothing in a folder that another writer holds, and says so", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    await hours(world, [1]);
    const writer = { id: "w9", who: "EtcdBackupStore other/main" };
    const claim = {
      number: 1,
      lineage: [{ id: "cafe", number: 1 }],
      writer,
      since: "2026-08-20T12:00:00Z",
      reason: "a test",
    };
    await putClaim(world.bucket, "prod", claim, signal);
    await hours(world, [2]);
    assert.deepEqual(manifests(world), [1, 2]);
    assert.match(world.condition("Retained")?.message ?? "", /cannot be removed: .*w9/);
  });

  it("removes nothing from a store that has become ReadOnly meanwhile, and removes it when it may", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    await hours(world, [1]);
    await world.live(3_600);
    world.store(2);
    world.changeStore(({ spec }) => void (spec.accessMode = "ReadOnly"));
    await world.list();
    await world.live(60);
    assert.deepEqual(manifests(world), [1, 2]);
    world.changeStore(({ spec }) => void (spec.accessMode = "ReadWrite"));
    await world.list();
    await world.live(60);
    assert.deepEqual(manifests(world), [2]);
  });

  it("never removes the backup that has just succeeded, whatever the revisions of others say", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    await hours(world, [1_001, 1_002, 5]);
    assert.deepEqual(manifests(world), [5, 1_002]);
    const condition = world.condition("Retained");
    assert.equal(condition?.status, "False");
    assert.match(
      condition?.message ?? "",
      /which has just succeeded: the folder holds backups .* with higher revisions/,
    );
  });

  it("acts on a changed policy only after a later success, though a person deletes the newest record", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 10 } });
    await hours(world, [1, 2, 3]);
    world.change(({ spec }) => void (spec.retention = { keepLast: 1 }));
    for (const child of world.children())
      if (child.status.artifact?.name.includes("-r00000000000000000003-") === true)
        world.removeBackup(child.metadata.name);
    await world.live(1_200);
    assert.deepEqual(manifests(world), [1, 2, 3]);
  });

  it("leaves a backup that an EtcdRestore reads, and removes it after the next success", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    await hours(world, [1]);
    const [record = ""] = world.names();
    world.createRestore(record);
    await hours(world, [2]);
    assert.deepEqual(manifests(world), [1, 2]);
    assert.equal(world.condition("Retained")?.status, "True");
    world.removeRestore();
    await hours(world, [3]);
    assert.deepEqual(manifests(world), [3]);
  });

  it("acts after a success whose record the history limit would delete", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 }, successfulHistoryLimit: 0 });
    for (const revision of [1, 2]) {
      await world.live(3_600);
      world.store(revision);
      await world.settle();
      await world.list();
      await world.live(60);
    }
    assert.deepEqual(manifests(world), [2]);
  });

  it("says that a removal is blocked, and tries it again in time, though a changed plan is shown meanwhile", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    await hours(world, [1]);
    let isLocked = true;
    world.bucket.beforeCall = async (call, name) => {
      if (isLocked && call === "remove" && name.includes("-r00000000000000000001-"))
        throw new OperatorError("Refused", "the object is locked until 2026-09-01");
    };
    await hours(world, [2]);
    world.change(({ spec }) => void (spec.schedule = "@yearly"));
    await world.live(1_800);
    world.change(({ spec }) => void (spec.retention = { keepLast: 1, keepDaily: 1 }));
    await world.live(60);
    assert.equal(world.status.retention?.generation, world.schedule.metadata.generation);
    assert.equal(world.condition("Retained")?.status, "False");
    isLocked = false;
    const againAfterMs = (await world.settle()) ?? 0;
    assert.ok(againAfterMs <= 1_800_000, `tries again in ${againAfterMs} ms`);
    await world.live(1_800);
    assert.deepEqual(manifests(world), [2]);
    assert.equal(world.condition("Retained")?.status, "True");
  });

  it("is at rest while a removal is blocked, and no EtcdBackup of the schedule is left", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 1 } });
    await hours(world, [1]);
    world.bucket.beforeCall = async (call) => {
      if (call === "remove") throw new OperatorError("Unreachable", "no network");
    };
    await hours(world, [2]);
    for (const name of world.names()) world.removeBackup(name);
    world.change(({ spec }) => void (spec.schedule = "@yearly"));
    world.advance(2 * 3_600);
    assert.ok(((await world.settle()) ?? 0) > 0);
  });

  it("shows a changed plan without acting on it", async () => {
    const world = createScheduleWorld({ retention: { keepLast: 3 } });
    await hours(world, [1, 2, 3]);
    world.change(({ spec }) => void (spec.retention = { keepLast: 1 }));
    await world.live(60);
    assert.deepEqual(manifests(world), [1, 2, 3]);
    assert.equal(world.status.retention?.next.length, 3);
  });
});
