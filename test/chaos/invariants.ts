import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";
import { runPrefix } from "../../src/core/backup/run-id.ts";
import type { Manifest } from "../../src/backup/manifest/manifest.ts";
import { etcdBackupJson, s3Store } from "../harness/etcd-backup.ts";
import { checkStore } from "../support/store-check.ts";
import { within } from "../support/eventually.ts";
import type { ExpectedBackup } from "./backups.ts";
import { assertLatest, removeAhead } from "./clock-fault.ts";
import { forbiddenToCopies } from "./copy-fault.ts";
import { assertMoved } from "./place-fault.ts";
import { assertQuorum } from "./quorum-fault.ts";
import { noteRun } from "./schedules.ts";
import type { Testbed } from "./testbed.ts";

interface Listed {
  name: string;
  manifest?: Manifest;
}

export interface Checked {
  /** Acts that were under way when the writer's term ended. */
  underWay: string[];
  /** The peak resident memory of a running operator. */
  peakMiB: number;
}

const residentLimitMiB = 400;
/** Backups of deleted resources that are kept. More are removed, since each one takes a `verify`. */
const keptOrphans = 4;

/** Checks the invariants, which hold whenever no backup runs. Throws AssertionError. */
export async function checkInvariants(
  testbed: Testbed,
  expected: Map<string, ExpectedBackup>,
  options: { sweep: boolean },
): Promise<Checked> {
  const { bench, bucket } = testbed;
  assert.deepEqual(forbiddenToCopies(testbed.copied), [], "a copy neither deletes nor stores a backup");
  const access = s3Store(bench.s3, bucket);
  const backups = await testbed.backups();
  const listed = await within(
    "list answers",
    etcdBackupJson<Listed[]>(["list", "--store", access.url], access.env),
    60,
  );
  for (const backup of backups) assertStatusIsTrue(backup, listed);
  // A process without a resource stored them.
  const isOwned = ({ manifest }: Listed) => !testbed.storedAhead.includes(manifest?.run.id ?? "");
  assertPoliciesHold(listed.filter(isOwned), backups, expected);
  await assertLatest(testbed, listed);
  assertQuorum(testbed, listed);
  const original = await bench.kube.store(bucket);
  assert.equal(original.status.writer?.copyOf, undefined, "the original keeps its writer");
  await assertMoved(testbed);
  const underWay = await assertOneLeader(testbed);
  assert.deepEqual(testbed.flaps, [], "conditions and attempts never go back");
  const peakMiB = await assertHealthy(testbed);
  await within("the check of the store", checkStore(access, options), 300);
  await removeOrphans(testbed, listed, expected);
  await removeAhead(testbed);
  return { underWay, peakMiB };
}

/** The status agrees with the manifest, and a failed backup has none. */
function assertStatusIsTrue({ metadata, status }: EtcdBackup, listed: readonly Listed[]): void {
  const own = listed.filter(({ manifest }) => manifest?.owner?.uid === metadata.uid);
  const succeeded = status.conditions?.find(({ type }) => type === "Succeeded")?.status;
  const names = own.map(({ name }) => name);
  if (succeeded !== "True") {
    // The backup timed out while the store did not answer whether the manifest is stored, and the message says so.
    const message = status.conditions?.find(({ type }) => type === "Succeeded")?.message ?? "";
    if (message.includes("it is unknown what the attempt stored")) return;
    assert.deepEqual(names, [], `${metadata.name} has failed and is listed: ${JSON.stringify(status)}`);
    return;
  }
  assert.equal(own.length, 1, `${metadata.name} has succeeded and these are listed: ${names.join(", ")}`);
  const manifest = own[0]?.manifest;
  assert.deepEqual(
    {
      name: status.artifact?.name,
      run: status.runID,
      revision: status.snapshot?.revision,
      hash: hash(status.snapshot?.hash),
      sha256: status.snapshot?.sha256,
      bytes: status.artifact?.storedBytes,
      crc32c: status.artifact?.crc32c,
    },
    {
      name: manifest?.name,
      run: manifest?.run.id,
      revision: manifest?.snapshot.revision,
      hash: hash(manifest?.snapshot.hash),
      sha256: manifest?.snapshot.sha256,
      bytes: manifest?.stored.bytes,
      crc32c: manifest?.stored.crc32c,
    },
    `status (actual) and manifest (expected) of ${metadata.name}`,
  );
}

/** The number of a hash: the status has no leading zeros, as in etcdutl. */
function hash(hex: string | undefined): number {
  return Number.parseInt(hex ?? "", 16);
}

/** Each resource has at most one backup, which is deleted with the resource or kept, by its deletionPolicy. */
function assertPoliciesHold(
  listed: readonly Listed[],
  backups: readonly EtcdBackup[],
  expected: Map<string, ExpectedBackup>,
): void {
  const resources = new Map(backups.map((backup) => [backup.metadata.uid, backup]));
  const owners = new Map([...expected].map(([name, entry]) => [entry.uid, { name, entry }]));
  const seen = new Map<string, string>();
  for (const { name, manifest } of listed) {
    const uid = manifest?.owner?.uid ?? "";
    assert.equal(seen.get(uid), undefined, `${name} is a second backup of ${manifest?.owner?.name}`);
    seen.set(uid, name);
    const owner = owners.get(uid);
    assert.ok(owner !== undefined, `${name} belongs to no resource that was ever created`);
    if (!resources.has(uid))
      assert.equal(
        owner.entry.deletionPolicy,
        "Retain",
        `${name} of ${owner.name} should have been deleted with it`,
      );
  }
  for (const [name, entry] of expected) {
    const backup = resources.get(entry.uid);
    if (backup?.status.artifact !== undefined) entry.artifact = backup.status.artifact.name;
    if (backup === undefined) entry.gone = true;
    if (entry.artifact !== undefined && (backup !== undefined || entry.deletionPolicy === "Retain"))
      assert.equal(seen.get(entry.uid), entry.artifact, `the backup of ${name} is no longer listed`);
    if (entry.gone === true && !seen.has(entry.uid)) expected.delete(name);
  }
}

async function assertOneLeader({ audit, leaders, diary, stored, schedules }: Testbed): Promise<string[]> {
  const writes = await audit.read();
  for (const { created } of writes) if (created !== undefined) noteRun(schedules, created);
  const { violations, underWay } = leaders.judge({
    writes,
    sent: diary.sent.splice(0),
    stored: stored.splice(0),
    stops: diary.stops.splice(0),
  });
  assert.deepEqual(violations, [], "only the holder of the lease acts");
  return underWay;
}

/** The operators run, with bounded memory and no internal error or secret in their logs. Returns the peak memory in MiB. */
async function assertHealthy({ replicas, bench }: Testbed): Promise<number> {
  let peak = 0;
  for (const replica of replicas) {
    const { process } = replica.operator;
    assert.ok(process.running, `${replica.instance} runs`);
    const status = await readFile(`/proc/${process.pid}/status`, "utf8");
    const mebibytes = Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
    assert.ok(mebibytes < residentLimitMiB, `${replica.instance} used ${mebibytes} MiB`);
    peak = Math.max(peak, mebibytes);
    const lines = replica.logs().split("\n");
    for (const bad of [
      /"code":"Internal"/,
      /InternalError/,
      /unhandled/i,
      /worker failed/,
      /handler failed/,
    ]) {
      assert.equal(
        lines.find((line) => bad.test(line)),
        undefined,
        `${replica.name} logged ${String(bad)}`,
      );
    }
    assert.ok(!replica.logs().includes(bench.s3.secretAccessKey), `${replica.name} logged a secret`);
    replica.forget();
  }
  return peak;
}

/** Removes all but a few backups of deleted resources from the store. */
async function removeOrphans(
  testbed: Testbed,
  listed: readonly Listed[],
  expected: Map<string, ExpectedBackup>,
): Promise<void> {
  const { bench, bucket } = testbed;
  const orphans = [...expected].filter(([, { gone }]) => gone === true);
  for (const [name, { uid }] of orphans.slice(0, Math.max(0, orphans.length - keptOrphans))) {
    const prefix = runPrefix(uid);
    const keys = (await bench.objects(bucket)).filter((key) => key.includes(prefix));
    for (const Key of keys) await bench.raw.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
    expected.delete(name);
  }
  assert.ok(listed.length < 1_000, "the listing fits one page");
}
