import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import type { EtcdBackup } from "../../src/api/etcd-backup.ts";
import type { Manifest } from "../../src/snapshot/manifest.ts";
import { etcdBackupJson, s3Store } from "../harness/etcd-backup.ts";
import { aftermath } from "../integration/aftermath.ts";
import type { World } from "./world.ts";

interface Listed {
  name: string;
  manifest?: Manifest;
}

const residentLimitMiB = 400;

/** What has to hold whenever the world is at rest. Throws AssertionError with what does not. */
export async function checkInvariants(world: World, known: ReadonlyMap<string, EtcdBackup>): Promise<void> {
  const { bench, bucket } = world;
  const access = s3Store(bench.s3, bucket);
  // Everything that is listed passes verify, and what lies beside it is the sweeper's.
  await aftermath(access);
  const listed = await etcdBackupJson<Listed[]>(["list", "--store", access.url], access.env);
  const backups = await world.backups();
  for (const backup of backups) recordedTruly(backup, listed);
  nothingUnknown(listed, backups, known);
  oneLeaderAtATime(world);
  assert.deepEqual(world.flaps, [], "conditions and attempts never go back");
  await healthy(world);
}

function recordedTruly({ metadata, status }: EtcdBackup, listed: readonly Listed[]): void {
  const own = listed.filter(({ manifest }) => manifest?.owner?.uid === metadata.uid);
  const succeeded = status.conditions?.find(({ type }) => type === "Succeeded")?.status;
  if (succeeded !== "True") {
    assert.deepEqual(
      own.map(({ name }) => name),
      [],
      `${metadata.name} has failed (${JSON.stringify(status.conditions)}), and is listed`,
    );
    return;
  }
  assert.equal(own.length, 1, `${metadata.name} has succeeded and is listed ${own.length} times`);
  const manifest = own[0]?.manifest;
  assert.deepEqual(
    [
      status.artifact?.name,
      status.snapshot?.revision,
      hash(status.snapshot?.hash),
      status.artifact?.storedBytes,
    ],
    [manifest?.name, manifest?.snapshot.revision, hash(manifest?.snapshot.hash), manifest?.stored.bytes],
    `status and manifest of ${metadata.name}`,
  );
}

/** The status shows it as etcdutl does, without zeros in front. */
function hash(hex: string | undefined): number {
  return Number.parseInt(hex ?? "", 16);
}

/** What is listed belongs to a resource that is there, or to one that was deleted and asked to retain it. */
function nothingUnknown(
  listed: readonly Listed[],
  backups: readonly EtcdBackup[],
  known: ReadonlyMap<string, EtcdBackup>,
): void {
  const there = new Set(backups.map(({ metadata }) => metadata.uid));
  const count = new Map<string, number>();
  for (const { name, manifest } of listed) {
    const uid = manifest?.owner?.uid ?? "";
    count.set(uid, (count.get(uid) ?? 0) + 1);
    assert.ok(count.get(uid) === 1, `${name}: a second backup of one resource`);
    if (there.has(uid)) continue;
    const gone = known.get(manifest?.owner?.name ?? "");
    assert.equal(gone?.spec.deletionPolicy, "Retain", `${name} of ${manifest?.owner?.name} should be gone`);
  }
}

/** Who writes holds the Lease: by the last change of the Lease before the write, or the first after it. */
function oneLeaderAtATime({ acts, holders }: World): void {
  for (const { at, replica, request } of acts.splice(0)) {
    const next = holders.findIndex((holder) => holder.at > at);
    const around = next < 0 ? holders.slice(-1) : holders.slice(Math.max(0, next - 1), next + 1);
    assert.ok(
      around.some((holder) => holder.replica === replica),
      `${replica} wrote ${request} while ${around.map((h) => h.replica || "nobody").join(" and then ")} held the lease`,
    );
  }
}

async function healthy({ replicas, bench }: World): Promise<void> {
  for (const { name, operator } of replicas) {
    const { process } = operator;
    assert.ok(process.running, `${name} runs`);
    const status = await readFile(`/proc/${process.pid}/status`, "utf8");
    const peak = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
    assert.ok(peak < residentLimitMiB, `${name} took ${peak} MiB`);
    const output = process.output();
    for (const bad of [/"code":"Internal"/, /unhandled/i, /worker failed/]) {
      const line = output.split("\n").find((text) => bad.test(text));
      assert.equal(line, undefined, `${name} logged what it must not`);
    }
    assert.ok(!output.includes(bench.s3.secretAccessKey), `${name} logged a secret`);
  }
}
