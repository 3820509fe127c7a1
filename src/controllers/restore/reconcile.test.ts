import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OperatorError } from "../../core/errors.ts";
import { recordAttempts } from "../../core/restore/decide.ts";
import { placedExitCode } from "../../core/restore/placed-exit-code.ts";
import { type RestoreWorld, createRestoreWorld, created, liveToTheEnd } from "./world.fixture.ts";

const proved = { Finished: "True", Succeeded: "True", Ready: "True", Reconciling: "False", Stalled: "False" };

function assertRestored(world: RestoreWorld): void {
  assert.deepEqual(world.conditions(), proved);
  const counts = Object.fromEntries(created.map((kind) => [kind, world.objectsOf(kind).length]));
  assert.deepEqual(counts, {
    PersistentVolumeClaim: 3,
    Job: 3,
    Service: 2,
    PodDisruptionBudget: 1,
    StatefulSet: 1,
  });
  const records = [...world.bucket.objects.keys()].filter((name) => name.includes("/restores/"));
  assert.deepEqual(records, [
    "prod/restores/cluster-beef.json",
    `prod/restores/${world.restore().metadata.uid}.json`,
  ]);
}

function failure(world: RestoreWorld): [reason: string | undefined, message: string] {
  const condition = world.restore().status.conditions?.find(({ type }) => type === "Stalled");
  assert.equal(condition?.status, "True");
  return [condition?.reason, condition?.message ?? ""];
}

describe("an EtcdRestore", () => {
  it("is verified, restored, started and proved, each once", async () => {
    const world = await createRestoreWorld();
    const decisions = await liveToTheEnd(world);
    const steps = decisions.filter((one, n) => one !== decisions[n - 1]);
    assert.deepEqual(steps, [
      ...["initialize", "verify", "recordVerified", "restoreMembers", "recordRestored"],
      ...["createCluster", "recordRunning", "prove", "succeed", "nothing"],
    ]);
    assertRestored(world);
    assert.deepEqual(world.events, [
      ...["BackupVerified", "RestoringMembers", "MembersRestored", "StartingCluster"],
      ...["ClusterStarted", "RestoreSucceeded"],
    ]);
    assert.equal(world.restore().status.verification?.clusterID, "beef");
  });

  it("says that it waits for a slot, and is woken when one becomes free", async () => {
    const world = await createRestoreWorld();
    const release = await world.occupySlots();
    assert.deepEqual([await world.look(), await world.look()], ["initialize", "wait"]);
    const [condition] = world.restore().status.conditions ?? [];
    assert.match(condition?.message ?? "", /^the operator waits for a free slot: place 1;/);
    world.woken.length = 0;
    await release();
    assert.ok(world.woken.includes("ns/back"));
    await liveToTheEnd(world);
    assertRestored(world);
  });

  for (const [what, happens] of [
    [
      "it is deleted",
      async (world) => {
        world.removeRestore();
        await world.look();
      },
    ],
    [
      "another operator takes its store",
      async (world) => {
        world.holdElsewhere();
        await world.look();
      },
    ],
    [
      "its deadline passes",
      async (world) => {
        for (let n = 0; n < 10 && world.conditions()["Finished"] !== "True"; n++) await world.look();
        assert.equal(failure(world)[0], "TimedOut");
      },
    ],
    [
      "its pass fails",
      async (world) => {
        world.api.beforeRequest = () => {
          throw new OperatorError("Unreachable", "the API server does not answer");
        };
        await assert.rejects(world.look());
      },
    ],
  ] as readonly (readonly [string, (world: RestoreWorld) => Promise<void>])[])
    it(`gives up its place in the line when ${what}`, async () => {
      const world = await createRestoreWorld();
      const release = await world.occupySlots();
      await world.look();
      await world.look();
      await happens(world);
      world.woken.length = 0;
      await release();
      assert.ok(!world.woken.includes("ns/back"));
    });

  it("comes to the same end when the operator dies before any one pass", async () => {
    const undisturbed = await liveToTheEnd(await createRestoreWorld());
    for (let dies = 2; dies <= undisturbed.length; dies++) {
      const world = await createRestoreWorld();
      await liveToTheEnd(world, (pass) => pass === dies && world.crash());
      assertRestored(world);
    }
  });

  it("comes to the same end when the answer to any one write is lost, also where the operator then dies", async () => {
    const undisturbed = await createRestoreWorld();
    await liveToTheEnd(undisturbed);
    for (let write = 1; write <= undisturbed.writes; write++) {
      for (const dies of [false, true]) {
        const world = await createRestoreWorld();
        world.faults.loseAnswerOf = write;
        await liveToTheEnd(world, () => dies && world.writes === write && world.crash());
        assertRestored(world);
      }
    }
  });

  it("takes a Job that finds its own data in the volume for done, and starts no other", async () => {
    const world = await createRestoreWorld();
    // The Pod of the first attempt was lost after it had placed the data.
    const exits: Record<string, number> = { "back-1-restore-1": 137, "back-1-restore-2": placedExitCode };
    world.faults.fetchExits = (job) => exits[job];
    await liveToTheEnd(world);
    assert.deepEqual(world.conditions(), proved);
    const jobs = world.objectsOf("Job").map(({ metadata }) => metadata.name);
    const expected = ["back-0-restore-1", "back-1-restore-1", "back-1-restore-2", "back-2-restore-1"];
    assert.deepEqual(jobs.toSorted(), expected);
    assert.equal(world.restore().status.members?.[1]?.attempts, 2);
  });

  it("restores the backup that an imported EtcdBackup records", async () => {
    const world = await createRestoreWorld({ byBackupRef: true, isImported: true });
    await liveToTheEnd(world);
    assertRestored(world);
    assert.equal(world.restore().status.source?.name, world.manifest.name);
  });

  it("is refused before anything is created where the volumes are too small", async () => {
    const world = await createRestoreWorld({ storageSize: "1Mi" });
    await liveToTheEnd(world);
    const [reason, message] = failure(world);
    assert.equal(reason, "StorageTooSmall");
    assert.match(message, /storage\.size is 1Mi/);
    for (const kind of created) assert.equal(world.objectsOf(kind).length, 0, kind);
  });

  it("is refused before anything is created where the members' Jobs cannot read the store", async () => {
    const world = await createRestoreWorld({ location: { file: { path: "/backups" } } });
    await liveToTheEnd(world);
    const [reason, message] = failure(world);
    assert.equal(reason, "InvalidConfiguration");
    assert.match(message, /cannot read a directory of the operator/);
    for (const kind of created) assert.equal(world.objectsOf(kind).length, 0, kind);
  });

  it("is refused where the backup does not verify, and creates nothing", async () => {
    const world = await createRestoreWorld();
    const { object } = world.manifest.stored;
    const bytes = Buffer.from(world.bucket.objects.get(object) ?? "");
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
    world.bucket.objects.set(object, bytes);
    await liveToTheEnd(world);
    assert.equal(failure(world)[0], "BackupDamaged");
    for (const kind of created) assert.equal(world.objectsOf(kind).length, 0, kind);
  });

  it("is refused where a volume of another owner has a name that it needs, and leaves it alone", async () => {
    const world = await createRestoreWorld();
    const spec = { resources: { requests: { storage: "1Gi" } } };
    world.createForeign("PersistentVolumeClaim", "data-back-1", spec);
    await liveToTheEnd(world);
    const [reason, message] = failure(world);
    assert.equal(reason, "TargetExists");
    assert.match(message, /PersistentVolumeClaim data-back-1/);
    const [volume, ...others] = world.objectsOf("PersistentVolumeClaim");
    assert.deepEqual([volume?.spec, others.length], [spec, 0]);
  });

  it("leaves a volume alone that appears under its name after the verification", async () => {
    const world = await createRestoreWorld();
    let isThere = false;
    await liveToTheEnd(world, () => {
      if (isThere || world.restore().status.verifiedTime === undefined) return;
      world.createForeign("PersistentVolumeClaim", "data-back-2", {});
      isThere = true;
    });
    assert.equal(failure(world)[0], "TargetExists");
    assert.equal(world.objectsOf("StatefulSet").length, 0);
  });

  it("is not run again where the store holds the record of its end", async () => {
    const before = await createRestoreWorld();
    await liveToTheEnd(before);
    const again = await createRestoreWorld();
    const record = `prod/restores/${again.restore().metadata.uid}.json`;
    const found = before.bucket.objects.get(`prod/restores/${before.restore().metadata.uid}.json`);
    assert.ok(found);
    again.bucket.objects.set(record, found);
    await liveToTheEnd(again);
    assert.deepEqual(again.conditions(), proved);
    assert.deepEqual(again.events, ["RestoredBefore"]);
    for (const kind of created) assert.equal(again.objectsOf(kind).length, 0, kind);
  });

  it("does not succeed where the members hold other data than one another", async () => {
    const world = await createRestoreWorld();
    world.cluster.hashes = [1, 2, 1];
    await liveToTheEnd(world);
    const [reason, message] = failure(world);
    assert.equal(reason, "NotProved");
    assert.match(message, /back-1/);
    assert.equal(world.objectsOf("StatefulSet").length, 1, "the cluster stays for a person to look at");
  });

  it("does not succeed where keys are missing", async () => {
    const world = await createRestoreWorld();
    world.cluster.keys -= 1;
    await liveToTheEnd(world);
    assert.equal(failure(world)[0], "NotProved");
  });
});

describe("an EtcdRestore whose source goes away", () => {
  it("comes to its end where its EtcdBackup is pruned at any step after the verification", async () => {
    for (const step of ["verifiedTime", "restoredTime", "runningTime"] as const) {
      const world = await createRestoreWorld({ byBackupRef: true });
      let isPruned = false;
      await liveToTheEnd(world, () => {
        if (isPruned || world.restore().status[step] === undefined) return;
        world.pruneBackup();
        isPruned = true;
      });
      assert.equal(isPruned, true);
      assertRestored(world);
      assert.equal(world.restore().status.endRecord?.state, "Written");
    }
  });

  it("creates the cluster without its store, and stays proved while its end cannot be recorded", async () => {
    const world = await createRestoreWorld();
    let isRemoved = false;
    const decisions = await liveToTheEnd(world, () => {
      if (isRemoved || world.restore().status.restoredTime === undefined) return;
      world.removeStore();
      isRemoved = true;
    });
    assert.deepEqual(world.conditions(), proved);
    assert.equal(decisions.filter((decided) => decided === "recordEnd").length, recordAttempts - 1);
    const { state, attempts, message } = world.restore().status.endRecord ?? {};
    assert.deepEqual([state, attempts], ["NotWritten", recordAttempts]);
    assert.match(message ?? "", /EtcdBackupStore s does not exist/);
    assert.equal(world.events.filter((reason) => reason === "EndNotRecorded").length, recordAttempts);
  });

  it("records its end once the store accepts it, also after a crash", async () => {
    const world = await createRestoreWorld();
    world.bucket.beforePut = () => {
      throw new OperatorError("StoreFailed", "503 SlowDown");
    };
    await liveToTheEnd(world, () => {
      if ((world.restore().status.endRecord?.attempts ?? 0) < 2) return;
      assert.deepEqual(world.conditions(), proved);
      world.bucket.beforePut = () => {};
      world.crash();
    });
    assertRestored(world);
    const { state, attempts } = world.restore().status.endRecord ?? {};
    assert.deepEqual([state, attempts], ["Written", 3]);
  });

  it("waits for a store that is missing before its Jobs exist, and says so", async () => {
    const world = await createRestoreWorld();
    const messages: string[] = [];
    let isRemoved = false;
    await liveToTheEnd(world, () => {
      const { verifiedTime, conditions } = world.restore().status;
      if (verifiedTime !== undefined && !isRemoved) {
        world.removeStore();
        isRemoved = true;
      }
      const waits = conditions?.find(({ type, reason }) => type === "Ready" && reason === "StoreNotReady");
      if (waits === undefined) return;
      messages.push(waits.message);
      if (messages.length === 3) world.createStore();
    });
    assert.match(messages[0] ?? "", /EtcdBackupStore s does not exist/);
    assertRestored(world);
  });
});

describe("an EtcdRestore whose store the operator of another Lease holds", () => {
  for (const byBackupRef of [false, true])
    it(`is left alone, named ${byBackupRef ? "by its EtcdBackup" : "by the store"}`, async () => {
      const world = await createRestoreWorld({ byBackupRef });
      world.holdElsewhere();
      for (let pass = 0; pass < 3; pass++) assert.equal(await world.look(), "nothing");
      assert.equal(world.writes, 0);
      assert.deepEqual(world.events, []);
    });
});
