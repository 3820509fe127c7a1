import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { scheduleLabel, triggerAnnotation } from "../../core/schedule/child.ts";
import { Refusal } from "../../kube/memory-api/refusal.fixture.ts";
import { noRoute } from "../../kube/memory-api/memory-api.fixture.ts";
import { type ScheduleWorld, createScheduleWorld } from "./world.fixture.ts";

/** The API server refuses every EtcdBackup. */
function refuseCreation(world: ScheduleWorld, message: string, status = 403): void {
  world.api.beforeRequest = ({ verb }) => {
    if (verb === "create") throw new Refusal(status, status === 403 ? "Forbidden" : "", message);
  };
}

const trigger = (world: ScheduleWorld, token: string) =>
  world.change(({ metadata }) => {
    metadata.annotations = { [triggerAnnotation]: token };
  });

describe("an EtcdBackupSchedule", () => {
  it("creates an EtcdBackup at its next time, and says when the one after it follows", async () => {
    const world = createScheduleWorld();
    assert.equal(await world.settle(), 30_000);
    assert.deepEqual(world.names(), []);
    assert.equal(world.status.nextScheduleTime, "2026-08-20T12:00:00Z");
    await world.live(60);
    assert.deepEqual(world.names(), ["prod-20260820t120000z"]);
    assert.deepEqual(
      [world.status.active, world.status.lastScheduleTime, world.status.nextScheduleTime],
      ["prod-20260820t120000z", "2026-08-20T12:00:00Z", "2026-08-20T13:00:00Z"],
    );
    assert.equal(world.condition("LastBackupSucceeded")?.reason, "NoBackupYet");
    world.end();
    await world.settle();
    assert.equal(world.status.active, undefined);
    assert.equal(world.condition("LastBackupSucceeded")?.status, "True");
    assert.equal(world.status.lastSuccessfulTime, "2026-08-20T12:00:30Z");
  });

  it("gives its EtcdBackups the labels of template.metadata and none of its own, and no owner", async () => {
    const world = createScheduleWorld();
    world.change(({ metadata, spec }) => {
      metadata.labels = { "app.kubernetes.io/instance": "gitops" };
      spec.template.metadata = { labels: { team: "a" }, annotations: { note: "n" } };
    });
    await world.live(60);
    const [child] = world.children();
    assert.deepEqual(child?.metadata.labels, { team: "a", [scheduleLabel]: "prod" });
    assert.equal(child?.metadata.annotations?.["note"], "n");
    assert.ok(!("ownerReferences" in (child?.metadata ?? {})));
    assert.equal(child?.spec.deletionPolicy, "Retain");
  });

  it("writes nothing while nothing happens", async () => {
    const world = createScheduleWorld();
    await world.live(60);
    world.end();
    await world.settle();
    world.api.requests.length = 0;
    world.advance(600);
    await world.settle();
    assert.deepEqual(
      world.api.requests.filter(
        ({ verb, resource }) => verb !== "get" && !resource.startsWith("etcdbackupstores"),
      ),
      [],
    );
  });

  it("starts each time by its own delay where it has a jitter", async () => {
    const world = createScheduleWorld({ jitter: "10m" });
    const waitMs = (await world.settle()) ?? 0;
    assert.ok(waitMs >= 30_000 && waitMs < 630_000, `${waitMs} ms`);
    const due = world.now().getTime() + waitMs;
    assert.equal(Date.parse(world.status.nextScheduleTime ?? ""), due - (due % 1000));
    await world.live(waitMs / 1000 - 1);
    assert.deepEqual(world.names(), []);
    await world.live(1);
    assert.deepEqual(world.names(), ["prod-20260820t120000z"], "the name tells the time without the delay");
  });

  it("skips a time that comes while a backup runs, counts it and says so", async () => {
    const world = createScheduleWorld();
    await world.live(60 + 3_600);
    assert.deepEqual(world.names(), ["prod-20260820t120000z"]);
    assert.equal(world.status.skipped, 1);
    assert.match(
      world.events.at(-1) ?? "",
      /^BackupSkipped: 2026-08-20T13:00:00Z .*prod-20260820t120000z still runs/,
    );
    world.end();
    await world.live(3_600);
    assert.deepEqual(world.names(), ["prod-20260820t120000z", "prod-20260820t140000z"]);
  });

  it("is not held up by an EtcdBackup whose deletion waits", async () => {
    const world = createScheduleWorld();
    await world.live(60);
    world.changeBackup("prod-20260820t120000z", ({ metadata }) => {
      metadata.finalizers = ["etcdbackup.dev/stored-backup"];
    });
    world.removeBackup("prod-20260820t120000z");
    await world.live(3_600);
    assert.deepEqual(world.names(), ["prod-20260820t120000z", "prod-20260820t130000z"]);
  });

  it("is not held up by a stranger that took the name of its EtcdBackup", async () => {
    const world = createScheduleWorld();
    await world.live(60);
    world.removeBackup("prod-20260820t120000z");
    world.createBackup("prod-20260820t120000z");
    await world.live(3_600);
    assert.deepEqual(world.names(), ["prod-20260820t130000z"]);
  });

  it("does not take the EtcdBackup that it just created for ended where the watch is behind", async () => {
    const world = createScheduleWorld({ schedule: "* * * * *" });
    world.watch.behind = true;
    await world.live(200);
    assert.equal(world.names().length, 1);
  });

  it("runs the last of the missed times once after an outage", async () => {
    const world = createScheduleWorld();
    await world.settle();
    world.advance(5 * 3_600);
    world.restart();
    await world.settle();
    assert.deepEqual(world.names(), ["prod-20260820t160000z"]);
    world.end();
    await world.live(20);
    assert.equal(world.names().length, 1);
  });

  it("runs no time later than startingDeadlineSeconds, counts it and says so", async () => {
    const world = createScheduleWorld({ startingDeadlineSeconds: 600 });
    await world.settle();
    world.advance(1_800);
    await world.settle();
    assert.deepEqual([world.names(), world.status.missed], [[], 1]);
    assert.match(world.events.at(-1) ?? "", /^TimeMissed: 2026-08-20T12:00:00Z is not run/);
    world.advance(1_800 + 300);
    await world.settle();
    assert.deepEqual(world.names(), ["prod-20260820t130000z"]);
  });

  it("does not make up for times before it existed, or before its expression was changed", async () => {
    const world = createScheduleWorld({ schedule: "0 11 * * *" });
    await world.live(3 * 3_600);
    assert.deepEqual(world.names(), []);
    world.change(({ spec }) => {
      spec.schedule = "0 14 * * *";
    });
    await world.live(60);
    assert.deepEqual(world.names(), []);
    assert.equal(world.status.nextScheduleTime, "2026-08-21T14:00:00Z");
  });

  it("starts at its creation with runImmediately, once", async () => {
    const world = createScheduleWorld({ runImmediately: true });
    await world.settle();
    assert.deepEqual(world.names(), ["prod-20260820t115930z"]);
    world.end();
    await world.settle();
    world.removeBackup("prod-20260820t115930z");
    await world.live(20);
    assert.deepEqual(world.names(), []);
  });

  it("creates nothing while it is suspended, and makes up for nothing afterwards", async () => {
    const world = createScheduleWorld({ suspend: true });
    await world.live(2 * 3_600);
    assert.deepEqual([world.names(), world.condition("Ready")?.reason], [[], "Suspended"]);
    assert.equal(world.status.nextScheduleTime, undefined);
    world.change(({ spec }) => {
      spec.suspend = false;
    });
    await world.live(20);
    assert.deepEqual(world.names(), []);
    await world.live(3_600);
    assert.deepEqual(world.names(), ["prod-20260820t140000z"]);
  });

  it("says why it can never run, and runs when it is corrected", async () => {
    const world = createScheduleWorld({ schedule: "0 0 31 2 *" });
    assert.ok(((await world.settle()) ?? 0) >= 3_600_000, "nothing is due");
    assert.deepEqual(
      [world.condition("Ready")?.status, world.condition("Ready")?.reason],
      ["False", "InvalidSchedule"],
    );
    world.change(({ spec }) => {
      spec.schedule = "0 * * * *";
    });
    await world.live(60);
    assert.equal(world.names().length, 1);
  });

  it("leaves an EtcdBackup of its next name alone that is not its own, and says so", async () => {
    const world = createScheduleWorld();
    await world.live(60);
    world.end();
    await world.live(60);
    world.createBackup("prod-20260820t130000z");
    await world.live(3_600);
    await world.settle();
    assert.equal(world.condition("LastBackupSucceeded")?.reason, "AdoptionRefused");
    assert.match(world.events.at(-1) ?? "", /^AdoptionRefused: EtcdBackup prod-20260820t130000z exists/);
    assert.equal(world.status.active, undefined);
    await world.live(3_600);
    assert.deepEqual(world.names(), ["prod-20260820t120000z", "prod-20260820t140000z"]);
    world.end();
    await world.settle();
    assert.equal(world.condition("LastBackupSucceeded")?.status, "True");
  });

  it("counts what succeeded and what failed, each once", async () => {
    const world = createScheduleWorld();
    await world.live(30);
    for (const outcome of ["Succeeded", "Failed", "Succeeded"] as const) {
      assert.equal(world.end(outcome), 1);
      await world.live(3_600);
    }
    world.end("Succeeded");
    await world.settle();
    world.restart();
    world.removeBackup(world.names().at(-1) ?? "");
    await world.live(60);
    assert.deepEqual([world.status.succeeded, world.status.failed], [3, 1]);
  });

  it("tells the last failure in a sentence, and keeps it after a success", async () => {
    const world = createScheduleWorld();
    await world.live(60);
    world.end("Failed");
    await world.settle();
    assert.deepEqual(world.status.lastFailure, {
      time: "2026-08-20T12:00:30Z",
      backup: "prod-20260820t120000z",
      reason: "NoUsableMember",
      message: "no member answers",
    });
    const condition = world.condition("LastBackupSucceeded");
    assert.deepEqual([condition?.status, condition?.reason], ["False", "Failed"]);
    assert.equal(world.condition("Ready")?.status, "True");
    await world.live(3_600);
    world.end();
    await world.settle();
    assert.equal(world.condition("LastBackupSucceeded")?.status, "True");
    assert.equal(world.status.lastFailure?.backup, "prod-20260820t120000z");
  });
});

describe("an EtcdBackupSchedule whose operator or API server fails", () => {
  it("creates one EtcdBackup for a time, whichever answer or status is lost", async () => {
    for (let lost = 1; lost <= 4; lost++) {
      const world = createScheduleWorld();
      await world.settle();
      world.advance(60);
      let writes = 0;
      world.api.afterRequest = ({ verb }) => {
        if (verb === "get") return;
        writes += 1;
        if (writes === lost) throw noRoute();
      };
      for (let pass = 0; pass < 6; pass++) {
        await world.pass().catch(() => world.restart());
      }
      assert.deepEqual(world.names(), ["prod-20260820t120000z"], `write ${lost}`);
      assert.equal(world.status.active, "prod-20260820t120000z");
    }
  });

  it("says that the API server refuses an EtcdBackup, once, and creates it when it may", async () => {
    const world = createScheduleWorld();
    await world.live(60);
    world.end();
    await world.settle();
    refuseCreation(world, "exceeded quota: few, requested: count/etcdbackups=1, used: 9, limited: 9");
    await world.live(3_600);
    const condition = world.condition("LastBackupSucceeded");
    assert.deepEqual([condition?.status, condition?.reason], ["False", "CreationFailed"]);
    assert.match(condition?.message ?? "", /exceeded quota: few/);
    assert.deepEqual(
      [world.status.lastFailure?.reason, world.status.lastFailure?.time, world.status.lastFailure?.backup],
      ["CreationFailed", "2026-08-20T13:00:00Z", undefined],
    );
    const told = world.events.filter((event) => event.startsWith("CreationFailed: "));
    assert.deepEqual(told, [`CreationFailed: ${condition?.message}`]);
    world.api.beforeRequest = () => {};
    await world.live(60);
    assert.deepEqual(world.names(), ["prod-20260820t120000z", "prod-20260820t130000z"]);
    world.end();
    await world.settle();
    assert.equal(world.condition("LastBackupSucceeded")?.status, "True");
  });

  it("says what an admission webhook says against an EtcdBackup, and not that rights are missing", async () => {
    const world = createScheduleWorld();
    refuseCreation(world, 'admission webhook "policy.example" denied the request: label team is missing');
    await world.live(60);
    const { message = "" } = world.condition("LastBackupSucceeded") ?? {};
    assert.match(message, /denied the request: label team is missing$/);
  });

  it("only tries again while the API server fails within the first minute of a time", async () => {
    const world = createScheduleWorld();
    const reason = () => world.status.lastFailure?.reason;
    await world.settle();
    world.advance(60);
    refuseCreation(world, "etcd leader changed", 500);
    await assert.rejects(world.pass(), /etcd leader changed/);
    assert.equal(reason(), undefined);
    world.advance(60);
    await world.settle();
    assert.equal(reason(), "CreationFailed");
  });

  it("waits without a store that it may write, and starts late when there is one", async () => {
    for (const [lose, regain] of [
      [(world: ScheduleWorld) => world.removeStore(), (world: ScheduleWorld) => world.createStore()],
      [
        (world: ScheduleWorld) => world.changeStore(({ spec }) => void (spec.accessMode = "ReadOnly")),
        (world: ScheduleWorld) => world.changeStore(({ spec }) => void (spec.accessMode = "ReadWrite")),
      ],
    ] as const) {
      const world = createScheduleWorld();
      lose(world);
      await world.live(60);
      assert.deepEqual([world.names(), world.condition("Ready")?.reason], [[], "StoreNotReady"]);
      regain(world);
      await world.settle();
      assert.deepEqual(world.names(), ["prod-20260820t120000z"]);
    }
  });
});

describe("the clock of an EtcdBackupSchedule", () => {
  it("runs no time twice when it is set back", async () => {
    const world = createScheduleWorld();
    await world.live(3_700);
    world.end();
    await world.live(3_600);
    world.end();
    const before = world.names();
    for (const time of ["2026-08-20T12:30:00Z", "2026-08-20T11:59:00Z"]) {
      world.set(time);
      await world.live(3_600);
      assert.deepEqual(world.names(), before, time);
    }
  });

  it("that was months ahead does not stop the backups, and names no time twice", async () => {
    const world = createScheduleWorld();
    await world.settle();
    world.set("2026-12-24T00:00:10Z");
    await world.settle();
    assert.deepEqual(world.names(), ["prod-20261224t000000z"], "one backup, and not one for each hour");
    world.end();
    world.set("2026-08-20T12:10:00Z");
    await world.live(3_600);
    assert.deepEqual(world.names(), ["prod-20260820t130000z", "prod-20261224t000000z"]);
    assert.ok(world.events.some((event) => event.startsWith("ClockSetBack: ")));
  });
});

describe("the trigger of an EtcdBackupSchedule", () => {
  it("of a value that was used before makes no backup, and says what to do", async () => {
    const world = createScheduleWorld({ suspend: true });
    for (const token of ["ticket 1", "ticket 2", "ticket 1"]) {
      trigger(world, token);
      await world.settle();
      world.end();
      await world.settle();
    }
    assert.equal(world.names().length, 2);
    assert.match(
      world.events.at(-1) ?? "",
      /^BackupExists: EtcdBackup prod-now-\w+ exists since 2026-08-20T11:59:30Z for this value of .*trigger: set the annotation to a new value/,
    );
  });

  it("makes one backup for each value, also while the schedule is suspended", async () => {
    const world = createScheduleWorld({ suspend: true });
    trigger(world, "ticket 1");
    await world.settle();
    assert.equal(world.names().length, 1);
    assert.equal(world.status.lastHandledTrigger, "ticket 1");
    assert.match(world.names()[0] ?? "", /^prod-now-[0-9a-f]{10}$/);
    world.end();
    await world.live(7_200);
    assert.equal(world.names().length, 1);
    trigger(world, "ticket 2");
    await world.settle();
    assert.equal(world.names().length, 2);
  });

  it("waits for the backup that runs, and is not lost", async () => {
    const world = createScheduleWorld();
    await world.live(60);
    trigger(world, "now");
    await world.settle();
    assert.equal(world.names().length, 1);
    world.end();
    await world.settle();
    assert.equal(world.names().length, 2);
  });
});

describe("the history of an EtcdBackupSchedule", () => {
  it("is limited for failed and successful EtcdBackups apart, and never beyond the limits", async () => {
    const world = createScheduleWorld({ successfulHistoryLimit: 2, failedHistoryLimit: 1 });
    await world.live(30);
    for (const outcome of ["Failed", "Succeeded", "Succeeded", "Failed", "Succeeded"] as const) {
      await world.settle();
      assert.equal(world.end(outcome), 1);
      await world.live(3_600);
    }
    world.end();
    await world.settle();
    const outcomes = world.children().map(({ status }) => status.conditions?.[1]?.status);
    assert.deepEqual(outcomes.toSorted(), ["False", "True", "True"]);
    assert.ok(world.names().includes("prod-20260820t170000z"), "the newest stays");
  });

  it("leaves an EtcdBackup whose deletion would delete the stored backup", async () => {
    const world = createScheduleWorld({ successfulHistoryLimit: 0 });
    for (const [name, deletionPolicy] of [
      ["b", "Delete"],
      ["a", "Retain"],
    ] as const) {
      world.createBackup(name, { [scheduleLabel]: "prod" });
      world.changeBackup(name, ({ spec }) => void (spec.deletionPolicy = deletionPolicy));
    }
    world.end();
    await world.settle();
    assert.deepEqual(world.names(), ["b"]);
  });
});
