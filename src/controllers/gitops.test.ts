import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Condition } from "../api/v1alpha1/conditions.ts";
import { kinds } from "../api/v1alpha1/kinds.ts";
import { manifestOf } from "../backup/manifest/manifest.fixture.ts";
import { backupOf, later, now } from "../core/backup/backup.fixture.ts";
import * as backup from "../core/backup/status.ts";
import { OperatorError } from "../core/errors.ts";
import { restoreOf } from "../core/restore/restore.fixture.ts";
import * as restore from "../core/restore/status.ts";
import { probed, probing } from "../core/store/status.ts";
import { storeOf } from "../core/store/store.fixture.ts";
import {
  type Resource,
  argoHealth,
  argoScripts,
  fluxExpressions,
  fluxStatus,
  holds,
} from "./gitops.fixture.ts";
import { createScheduleWorld } from "./schedule/world.fixture.ts";

const scripts = argoScripts();
const expressions = fluxExpressions();
const scriptOf = (kind: string) => scripts.get(kind) ?? "";

type Argo = "Healthy" | "Progressing" | "Degraded" | "Suspended";
type Flux = "InProgress" | "Failed" | "Current";

/** What both tools have to say of an object. `message`: the condition whose message Argo CD shows. */
interface Row {
  name: string;
  resource: Resource;
  argo: Argo;
  flux: Flux;
  message?: string | RegExp;
  /** No expression is true, which is InProgress for Flux. */
  byDefault?: true;
}

const unseen = "the operator has not seen this spec yet";

/** The object with the status that the operator writes. */
const withStatus = <T extends Resource>(resource: T, status: T["status"]): T => ({ ...resource, status });
/** The object after a change of its spec that the operator has not seen. */
const changed = <T extends Resource>(resource: T): T => ({
  ...resource,
  metadata: { ...resource.metadata, generation: resource.metadata.generation + 1 },
});

const messageOf = ({ status }: Resource, type: string): string => {
  const condition: Condition | undefined = status.conditions?.find((each) => each.type === type);
  assert.ok(condition, `the status has no condition ${type}`);
  return condition.message;
};

function check(rows: readonly Row[]): void {
  for (const { name, resource, argo, flux, message, byDefault = false } of rows) {
    it(`${name}: ${argo} for Argo CD, ${flux} for Flux`, async () => {
      const health = await argoHealth(scriptOf(resource.kind), resource);
      assert.equal(health.status, argo);
      if (message instanceof RegExp) assert.match(health.message, message);
      else if (message !== undefined) assert.equal(health.message, message);
      const of = expressions.get(resource.kind);
      assert.ok(of);
      assert.equal(fluxStatus(of, resource), flux);
      if (resource.status.observedGeneration !== resource.metadata.generation) return;
      const { inProgress, failed, current } = of;
      const each = { InProgress: inProgress, Failed: failed, Current: current };
      const named = Object.entries(each).filter(([, expression]) => holds(expression, resource));
      assert.deepEqual(
        named.map(([status]) => status),
        byDefault ? [] : [flux],
        "no two expressions are true, so their order does not matter",
      );
    });
  }
}

it("docs/gitops.md has a health check of both tools for every kind", () => {
  const names = kinds.map(({ kind }) => kind).toSorted();
  assert.deepEqual([...scripts.keys()].toSorted(), names);
  assert.deepEqual([...expressions.keys()].toSorted(), names);
});

it("no expression fails or is true of an object without conditions, save that it is in progress", () => {
  for (const [kind, { inProgress, failed, current }] of expressions) {
    const fresh = { kind, metadata: { generation: 1 }, spec: {}, status: {} };
    assert.deepEqual(
      [inProgress, failed, current].map((each) => holds(each, fresh)),
      [true, false, false],
      kind,
    );
  }
});

it("an object without a status is Progressing for Argo CD", async () => {
  for (const [kind, script] of scripts) {
    const { status: _, ...fresh } = { kind, metadata: { generation: 1 }, spec: {}, status: {} };
    const health = await argoHealth(script, fresh as Resource);
    assert.deepEqual(health, { status: "Progressing", message: unseen }, kind);
  }
});

describe("the health of an EtcdBackup", () => {
  const fresh = backupOf();
  const state = (status: Resource["status"]) => withStatus<Resource>(fresh, status);
  const running = backupOf({ status: backup.started(fresh, { attempt: 1, runId: "r" }, now) });
  const error = new OperatorError("Unreachable", "no member answers");
  const retrying = state(
    backup.retrying(running, { at: later(10), error } as Parameters<typeof backup.retrying>[1], now),
  );
  const failure = { reason: "NoUsableMember", message: "no member answers" } as Parameters<
    typeof backup.failed
  >[1];
  const failed = backupOf({ status: backup.failed(running, failure, now) });
  const record = { ...manifestOf(), name: "n" };
  const succeeded = state(backup.succeeded(running, record, { url: "s3://b", location: "s3://b" }, now));
  check([
    { name: "new", resource: fresh, argo: "Progressing", flux: "InProgress", message: unseen },
    {
      name: "waiting for a slot",
      resource: state(backup.initialized(fresh, now)),
      argo: "Progressing",
      flux: "InProgress",
      message: /starts the backup when a slot is free/,
    },
    {
      name: "streaming",
      resource: state(backup.streaming(running, { bytes: 1, totalBytes: 2 }, now)),
      argo: "Progressing",
      flux: "InProgress",
      message: /has read 1 B/,
    },
    {
      name: "between two attempts",
      resource: retrying,
      argo: "Progressing",
      flux: "InProgress",
      message: messageOf(retrying, "Succeeded"),
    },
    {
      name: "stored",
      resource: succeeded,
      argo: "Healthy",
      flux: "Current",
      message: messageOf(succeeded, "Succeeded"),
    },
    { name: "failed", resource: failed, argo: "Degraded", flux: "Failed", message: failure.message },
    {
      name: "with another deletionPolicy, unseen",
      resource: changed(succeeded),
      argo: "Progressing",
      flux: "InProgress",
    },
  ]);
});

describe("the health of an EtcdRestore", () => {
  const fresh = restoreOf();
  const state = (status: Resource["status"]) => withStatus<Resource>(fresh, status);
  const begun = restoreOf({ status: restore.restoreInitialized(fresh, now) });
  const proof = { clusterID: "c", revision: 1, hashKV: 1, members: ["m"], keys: 1 };
  const succeeded = state(restore.restoreSucceeded(begun, proof, now));
  const change = { reason: "BackupDamaged", message: "a digest differs" } as const;
  check([
    { name: "new", resource: fresh, argo: "Progressing", flux: "InProgress", message: unseen },
    {
      name: "waiting for a slot",
      resource: begun,
      argo: "Progressing",
      flux: "InProgress",
      message: /when a slot is free/,
    },
    {
      name: "verifying",
      resource: state(restore.workBegun(begun, "verify", now)),
      argo: "Progressing",
      flux: "InProgress",
      message: /reading the whole backup/,
    },
    {
      name: "between two attempts",
      resource: state(restore.restoreRetrying(begun, { ...change, at: later(10) }, now)),
      argo: "Progressing",
      flux: "InProgress",
    },
    {
      name: "proved",
      resource: succeeded,
      argo: "Healthy",
      flux: "Current",
      message: messageOf(succeeded, "Succeeded"),
    },
    {
      name: "ended before",
      resource: state(restore.restoredBefore(begun, "t", now)),
      argo: "Healthy",
      flux: "Current",
    },
    {
      name: "failed",
      resource: state(restore.restoreFailed(begun, change, now)),
      argo: "Degraded",
      flux: "Failed",
      message: change.message,
    },
  ]);
});

describe("the health of an EtcdBackupStore", () => {
  const fresh = storeOf({ status: { observedGeneration: -1 } });
  const seen = storeOf({ status: { writer: { id: "w2", renewal: 1, nonce: "n" } } });
  const at = { missing: "BucketNotFound", now } as const;
  const state = (probe: Parameters<typeof probed>[1], of = seen) => withStatus(of, probed(of, probe, at));
  const reachable = state({ backups: 3 });
  const refused = state({ error: new OperatorError("Unauthorized", "403") }, reachable);
  const copy = state({ backups: 3, original: { id: "w1", isAlive: true } });
  const readOnly = { ...fresh, spec: { ...fresh.spec, accessMode: "ReadOnly" as const } };
  check([
    { name: "new", resource: fresh, argo: "Progressing", flux: "InProgress", message: unseen },
    {
      name: "in its first probe",
      resource: withStatus(fresh, probing(fresh, now)),
      argo: "Progressing",
      flux: "InProgress",
      message: /for the first time/,
    },
    {
      name: "reachable",
      resource: reachable,
      argo: "Healthy",
      flux: "Current",
      message: messageOf(reachable, "Ready"),
    },
    {
      name: "ReadOnly",
      resource: state({ backups: 3 }, readOnly),
      argo: "Healthy",
      flux: "Current",
      message: /accessMode is ReadOnly/,
    },
    {
      name: "refused",
      resource: refused,
      argo: "Degraded",
      flux: "Failed",
      message: messageOf(refused, "Ready"),
    },
    {
      name: "in a copy of a living cluster",
      resource: copy,
      argo: "Degraded",
      flux: "Failed",
      message: messageOf(copy, "Writer"),
    },
    {
      name: "in a copy of a silent cluster",
      resource: state({ backups: 3, original: { id: "w1", isAlive: false } }),
      argo: "Healthy",
      flux: "Current",
    },
    {
      name: "reachable, with a spec that is unseen",
      resource: changed(reachable),
      argo: "Progressing",
      flux: "InProgress",
      message: unseen,
    },
    {
      name: "refused, with a spec that is unseen",
      resource: changed(refused),
      argo: "Progressing",
      flux: "InProgress",
      message: unseen,
    },
  ]);
});

describe("the health of an EtcdBackupSchedule", () => {
  type World = ReturnType<typeof createScheduleWorld>;
  /** The schedule as the reconciler leaves it after `live`. */
  const after = async (live: (world: World) => unknown): Promise<Resource> => {
    const world = createScheduleWorld();
    await world.settle();
    await live(world);
    await world.settle();
    return world.schedule;
  };
  const ended = (outcome: "Succeeded" | "Failed") => async (world: World) => {
    await world.live(60);
    world.end(outcome);
    await world.settle();
  };
  const rows = async (): Promise<Row[]> => {
    const failed = await after(ended("Failed"));
    const blocked = await after(async (world) => {
      world.change(({ spec }) => void (spec.retention = { keepLast: 1 }));
      world.bucket.beforeCall = async (call) => {
        if (call === "remove") throw new OperatorError("Refused", "the object is locked");
      };
      for (const revision of [1, 2]) {
        await world.live(3_600);
        world.store(revision);
        await world.list();
        await world.settle();
      }
    });
    const missing = await after((world) => world.removeStore());
    const neverFire = (world: World) => world.change(({ spec }) => void (spec.schedule = "0 0 31 2 *"));
    const invalid = await after(neverFire);
    const suspend = (world: World) => world.change(({ spec }) => void (spec.suspend = true));
    const valid = await after(() => {});
    return [
      {
        name: "new",
        resource: createScheduleWorld().schedule,
        argo: "Progressing",
        flux: "InProgress",
        message: unseen,
      },
      {
        name: "waiting for its first time",
        resource: valid,
        argo: "Healthy",
        flux: "Current",
        message: "0 * * * * in UTC",
      },
      {
        name: "with a backup that runs",
        resource: await after((world) => world.live(60)),
        argo: "Healthy",
        flux: "Current",
      },
      {
        name: "whose last backup failed",
        resource: failed,
        argo: "Healthy",
        flux: "Current",
        message: /^EtcdBackup \S+ failed: no member answers$/,
      },
      {
        name: "whose retention is blocked",
        resource: blocked,
        argo: "Healthy",
        flux: "Current",
        message: `retention: ${messageOf(blocked, "Retained")}`,
      },
      {
        name: "without its store",
        resource: missing,
        argo: "Degraded",
        flux: "InProgress",
        byDefault: true,
        message: messageOf(missing, "Ready"),
      },
      {
        name: "that never fires",
        resource: invalid,
        argo: "Degraded",
        flux: "Failed",
        message: messageOf(invalid, "Ready"),
      },
      {
        name: "that is suspended",
        resource: await after(suspend),
        argo: "Suspended",
        flux: "Current",
        message: /spec.suspend is set/,
      },
      {
        name: "that is suspended, without its store",
        resource: await after((world) => (suspend(world), world.removeStore())),
        argo: "Suspended",
        flux: "Current",
      },
      {
        name: "that is suspended, and never fires",
        resource: await after((world) => (suspend(world), neverFire(world))),
        argo: "Suspended",
        flux: "Current",
        message: messageOf(invalid, "Ready"),
      },
      {
        name: "with a spec that is unseen",
        resource: changed(valid),
        argo: "Progressing",
        flux: "InProgress",
        message: unseen,
      },
    ];
  };
  describe("by state", async () => check(await rows()));

  it("is Degraded after a failed backup with the change that docs/gitops.md describes", async () => {
    const script = scriptOf("EtcdBackupSchedule").replace(/"Healthy" -- "Degraded".*/, '"Degraded"');
    assert.notEqual(script, scriptOf("EtcdBackupSchedule"));
    assert.equal((await argoHealth(script, await after(ended("Failed")))).status, "Degraded");
    assert.equal((await argoHealth(script, await after(ended("Succeeded")))).status, "Healthy");
  });
});
