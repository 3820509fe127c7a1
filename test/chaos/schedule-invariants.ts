import assert from "node:assert/strict";
import { s3Store } from "../harness/etcd-backup.ts";
import { within } from "../support/eventually.ts";
import { checkStore } from "../support/store-check.ts";
import type { StoredBackup } from "./removals.ts";
import { type ScheduledRun, leftAndKept, scheduleNames, seriesOf } from "./schedules.ts";
import type { Testbed } from "./testbed.ts";

/** Checks what must hold of schedules and retention when no backup runs. Throws AssertionError. */
export async function checkSchedules(testbed: Testbed, options: { sweep: boolean }): Promise<void> {
  const { schedules, bench, hasSucceeded } = testbed;
  const { history, bucket, runs } = schedules;
  const present = await history.look();
  assert.deepEqual(history.violations, [], "retention removes only older backups of its own series");
  const there = new Set(present.map(({ manifest }) => manifest));
  assert.deepEqual(
    [...history.untouchable].filter((key) => !there.has(key)),
    [],
    "nothing that belongs to no schedule goes",
  );
  assert.deepEqual(runTwice(runs), [], "no time of a schedule runs twice");
  assert.deepEqual(storedTwice(present), [], "an EtcdBackup leaves one stored backup");
  for (const name of scheduleNames) {
    const series = seriesOf(schedules, name, { present, hasSucceeded });
    const [newest] = series.made;
    assert.equal(series.left[0]?.revision, newest?.revision, `${name} has its newest backup`);
    const { left, kept } = leftAndKept(name, series);
    assert.deepEqual(left, kept, `the revisions of ${name} (actual) and those that its policy keeps`);
  }
  const { writer } = (await bench.kube.store(bucket)).status;
  assert.equal(writer?.copyOf, undefined, "the original keeps its writer");
  await within("the check of the schedules' store", checkStore(s3Store(bench.s3, bucket), options), 300);
}

/** Causes for which more than one EtcdBackup was created. */
export function runTwice(runs: ReadonlyMap<string, ScheduledRun>): string[] {
  const causes = new Map<string, string[]>();
  for (const [uid, { schedule, life, cause }] of runs) {
    const text = `${schedule} (life ${life}), ${cause}`;
    causes.set(text, [...(causes.get(text) ?? []), uid]);
  }
  return [...causes].flatMap(([text, owners]) =>
    owners.length === 1 ? [] : `${text}: EtcdBackups ${owners.join(", ")}`,
  );
}

/** EtcdBackups of which more than one stored backup is there. */
function storedTwice(present: readonly StoredBackup[]): string[] {
  const owned = present.filter(({ owner }) => owner !== undefined);
  return owned.flatMap(({ manifest, owner }) => {
    const first = owned.find((other) => other.owner === owner)?.manifest;
    return first === manifest ? [] : `${manifest} and ${first} of ${owner}`;
  });
}
