import assert from "node:assert/strict";
import { test } from "node:test";
import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";
import { changed, failed, interrupted, started } from "../../src/core/backup/status.ts";
import { flapsBetween } from "./flaps.ts";

const at = (second: number) => new Date(Date.UTC(2026, 7, 20, 12, 0, second));
const fresh = {
  metadata: { name: "b", generation: 1 },
  spec: {},
  status: { observedGeneration: 1 },
} as unknown as EtcdBackup;
const pending = { outcome: "InProgress", reason: "Pending", message: "m" } as const;
const as = (status: EtcdBackup["status"]): EtcdBackup => ({ ...fresh, status });

const waiting = as(changed(fresh, pending, at(1)));
const running = as(started(waiting, { attempt: 1, runId: "x1" }, at(2)));
const ended = as(failed(running, { do: "fail", reason: "UploadFailed", message: "m" }, at(3)));

test("the progress of a backup and an attempt that is handed back are no flaps", () => {
  const back = as(interrupted(running, { counts: false, now: at(3) }));
  assert.equal(back.status.attempts, 0);
  for (const [before, after] of [
    [fresh, waiting],
    [waiting, running],
    [running, ended],
    [running, back],
    [ended, ended],
  ] as const)
    assert.deepEqual(flapsBetween(before, after), []);
});

test("a final condition that changes is a flap, one for each condition", () => {
  const again = as(changed(ended, pending, at(4)));
  const types = flapsBetween(ended, again).map((text) => text.split(" ")[0]);
  assert.deepEqual(types, ["Finished", "Succeeded", "Ready"]);
});

test("a condition with a new lastTransitionTime and the same status is a flap", () => {
  const conditions = (running.status.conditions ?? []).map((condition) =>
    condition.type === "Stalled" ? { ...condition, lastTransitionTime: "2026-08-20T12:00:09Z" } : condition,
  );
  const [flap = "", ...others] = flapsBetween(running, as({ ...running.status, conditions }));
  assert.match(flap, /^Stalled stayed False and changed its lastTransitionTime/);
  assert.deepEqual(others, []);
});

test("attempts that decrease or increase by two, and an artifact that changes, are flaps", () => {
  const third = as({ ...running.status, attempts: 3 });
  assert.match(
    flapsBetween(third, as({ ...third.status, attempts: 2 })).join(),
    /^attempts went from 3 to 2/,
  );
  assert.match(
    flapsBetween(third, as({ ...third.status, attempts: 5 })).join(),
    /^attempts went from 3 to 5/,
  );
  const artifact = (name: string) => as({ ...ended.status, artifact: { name } } as EtcdBackup["status"]);
  assert.match(flapsBetween(artifact("one"), artifact("two")).join(), /^artifact went from one to two/);
});
