import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";
import { runPrefix } from "../../src/core/backup/run-id.ts";
import type { Manifest } from "../../src/backup/manifest/manifest.ts";
import { etcdBackupJson, s3Store } from "../harness/etcd-backup.ts";
import { checkStore } from "../support/store-check.ts";
import { within } from "../support/eventually.ts";
import type { Known } from "./round.ts";
import type { World } from "./world.ts";

interface Listed {
  name: string;
  manifest?: Manifest;
}

export interface Checked {
  /** Acts that were under way when the term of who made them ended. */
  underWay: string[];
  /** The most memory that an operator which runs now ever took. */
  peakMiB: number;
}

const residentLimitMiB = 400;
/** Backups of resources that are gone; more of them are cleared away, since each costs a `verify`. */
const keptOrphans = 4;

/** What has to hold whenever the world is at rest. Throws AssertionError with what does not. */
export async function checkInvariants(
  world: World,
  known: Map<string, Known>,
  options: { sweep: boolean },
): Promise<Checked> {
  const { bench, bucket } = world;
  const access = s3Store(bench.s3, bucket);
  const backups = await world.backups();
  const listed = await within(
    "list answers",
    etcdBackupJson<Listed[]>(["list", "--store", access.url], access.env),
    60,
  );
  for (const backup of backups) recordedTruly(backup, listed);
  promisesKept(listed, backups, known);
  const underWay = await oneLeaderAtATime(world);
  assert.deepEqual(world.flaps, [], "conditions and attempts never go back");
  const peakMiB = await healthy(world);
  // Everything that is listed passes verify, and what lies beside it is the sweeper's.
  await within("verify of every listed backup", checkStore(access, options), 300);
  await clearOrphans(world, listed, known);
  return { underWay, peakMiB };
}

function recordedTruly({ metadata, status }: EtcdBackup, listed: readonly Listed[]): void {
  const own = listed.filter(({ manifest }) => manifest?.owner?.uid === metadata.uid);
  const succeeded = status.conditions?.find(({ type }) => type === "Succeeded")?.status;
  const names = own.map(({ name }) => name);
  if (succeeded !== "True") {
    // Its time ran out while the store did not say whether the manifest had landed, and the status says just that.
    const message = status.conditions?.find(({ type }) => type === "Succeeded")?.message ?? "";
    if (message.includes("it is unknown what the attempt stored")) return;
    assert.deepEqual(names, [], `${metadata.name} has failed, and is listed: ${JSON.stringify(status)}`);
    return;
  }
  assert.equal(own.length, 1, `${metadata.name} has succeeded, and these are listed: ${names.join(", ")}`);
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

/** The status shows it as etcdutl does, without zeros in front. */
function hash(hex: string | undefined): number {
  return Number.parseInt(hex ?? "", 16);
}

/** One backup a resource at most; gone with it, or there for ever, as its deletionPolicy was. */
function promisesKept(
  listed: readonly Listed[],
  backups: readonly EtcdBackup[],
  known: Map<string, Known>,
): void {
  const there = new Map(backups.map((backup) => [backup.metadata.uid, backup]));
  const owners = new Map([...known].map(([name, entry]) => [entry.uid, { name, entry }]));
  const seen = new Map<string, string>();
  for (const { name, manifest } of listed) {
    const uid = manifest?.owner?.uid ?? "";
    assert.equal(seen.get(uid), undefined, `${name} is a second backup of ${manifest?.owner?.name}`);
    seen.set(uid, name);
    const owner = owners.get(uid);
    assert.ok(owner !== undefined, `${name} belongs to nobody that was ever created`);
    if (!there.has(uid))
      assert.equal(owner.entry.deletionPolicy, "Retain", `${name} of ${owner.name} should be gone with it`);
  }
  for (const [name, entry] of known) {
    const backup = there.get(entry.uid);
    if (backup?.status.artifact !== undefined) entry.artifact = backup.status.artifact.name;
    if (backup === undefined) entry.gone = true;
    if (entry.artifact !== undefined && (backup !== undefined || entry.deletionPolicy === "Retain"))
      assert.equal(
        seen.get(entry.uid),
        entry.artifact,
        `the backup of ${name} was there and is not any more`,
      );
    if (entry.gone === true && !seen.has(entry.uid)) known.delete(name);
  }
}

async function oneLeaderAtATime({ audit, leaders, diary, stored }: World): Promise<string[]> {
  const { violations, underWay } = leaders.judge({
    writes: await audit.read(),
    sent: diary.sent.splice(0),
    stored: stored.splice(0),
    stops: diary.stops.splice(0),
  });
  assert.deepEqual(violations, [], "one operator acts at a time");
  return underWay;
}

async function healthy({ replicas, bench }: World): Promise<number> {
  let peak = 0;
  for (const replica of replicas) {
    const { process } = replica.operator;
    assert.ok(process.running, `${replica.instance} runs`);
    const status = await readFile(`/proc/${process.pid}/status`, "utf8");
    const mebibytes = Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
    assert.ok(mebibytes < residentLimitMiB, `${replica.instance} took ${mebibytes} MiB`);
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
        `${replica.name} logged what it must not: ${String(bad)}`,
      );
    }
    assert.ok(!replica.logs().includes(bench.s3.secretAccessKey), `${replica.name} logged a secret`);
    replica.forget();
  }
  return peak;
}

async function clearOrphans(
  world: World,
  listed: readonly Listed[],
  known: Map<string, Known>,
): Promise<void> {
  const { bench, bucket } = world;
  const orphans = [...known].filter(([, { gone }]) => gone === true);
  for (const [name, { uid }] of orphans.slice(0, Math.max(0, orphans.length - keptOrphans))) {
    const prefix = runPrefix(uid);
    const keys = (await bench.objects(bucket)).filter((key) => key.includes(prefix));
    for (const Key of keys) await bench.raw.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
    known.delete(name);
  }
  assert.ok(listed.length < 1_000, "the listing of versitygw is one page");
}
