import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Ancestor, takenByHand } from "../../core/backup/claim.ts";
import { memoryStore } from "../../store/memory/memory-store.fixture.ts";
import { addBackup } from "../manifest/manifest.fixture.ts";
import { putClaim } from "./claim.ts";
import { findBackup } from "./find.ts";
import { clockWarning } from "./latest.ts";
import { listBackups } from "./list.ts";

const { signal } = new AbortController();
const begin = Date.parse("2026-08-20T12:00:00Z");
const minute = 60_000;

/** A folder whose objects are stored one after the other, by the store's clock. */
function folder() {
  const bucket = memoryStore();
  let clock = begin;
  bucket.now = () => new Date(clock);
  let lineage: Ancestor[] = [];
  return {
    bucket,
    /** Stores a backup. `named`: minutes by which the clock that names it differs from the store's. */
    add(clusterId: string, revision: number, { named = 0, damaged = false } = {}): string {
      clock += 10 * minute;
      const time = `${new Date(clock + named * minute).toISOString().slice(0, 19)}Z`;
      const runId = `run${bucket.objects.size}`;
      const { manifest, data } = addBackup(bucket, { clusterId, revision, runId, time }, new Date(clock));
      if (damaged) bucket.objects.delete(data);
      return manifest.name;
    },
    /** A person gives the folder to this etcd cluster. */
    async take(id: string): Promise<void> {
      clock += 10 * minute;
      const claim = { number: lineage.length, lineage };
      const next = takenByHand(claim, { clusterId: id, writer: undefined, now: new Date(clock) });
      lineage = [...next.lineage];
      assert.ok(await putClaim(bucket, "prod", next, signal));
    },
    /** The folder belongs to this etcd cluster from now on. */
    async claim(id: string): Promise<void> {
      clock += 10 * minute;
      const number = lineage.length + 1;
      const since = new Date(clock).toISOString();
      lineage = [...lineage, number === 1 ? { id, number: 0 } : { id, number, since }];
      assert.ok(await putClaim(bucket, "prod", { number, lineage, since, reason: "r" }, signal));
      bucket.calls.length = 0;
    },
    latest: () => findBackup(bucket, { name: "latest", clusterName: "prod", signal }),
    reads: () => bucket.calls.filter((call) => call.startsWith("get ") && !call.includes("/claim/")).length,
  };
}

describe("latest", () => {
  it("is the highest revision of the folder's etcd cluster, whatever a clock that is ahead has named", async () => {
    const { add, claim, latest, reads } = folder();
    await claim("a");
    const ahead = add("a", 10, { named: 60 * 24 * 90 });
    add("a", 11);
    const newest = add("a", 12);
    const found = await latest();
    assert.equal(found.name, newest);
    assert.equal(found.laterByClock?.name, ahead);
    assert.match(
      clockWarning(found.laterByClock, found),
      new RegExp(`^${ahead} has a later time .* latest, ${newest}`),
    );
    assert.equal(reads(), 2);
  });

  it("is the later one of two with the same revision", async () => {
    const { add, claim, latest } = folder();
    await claim("a");
    add("a", 10);
    const later = add("a", 10);
    const found = await latest();
    assert.deepEqual([found.name, found.laterByClock], [later, undefined]);
  });

  it("is never the backup of a stranger, which is skipped and shown as what it is", async () => {
    const { bucket, add, claim, latest } = folder();
    await claim("a");
    const ours = add("a", 10);
    const strange = add("e", 99);
    const found = await latest();
    assert.equal(found.name, ours);
    assert.deepEqual(
      found.passedOver.map(({ name, stranger }) => [name, stranger]),
      [[strange, "it is of etcd cluster e, and the folder belongs to a"]],
    );
    const listed = await listBackups(bucket, { signal });
    assert.deepEqual(
      listed.map(({ name, stranger }) => [name, stranger !== undefined]),
      [
        [strange, true],
        [ours, false],
      ],
    );
    const byName = await findBackup(bucket, { name: strange, signal });
    assert.equal(byName.name, strange, "a person may still name it");
  });

  it("is that of the cluster before while a restored one has no complete backup, and then its own", async () => {
    const { add, claim, latest, reads } = folder();
    await claim("a");
    for (let revision = 1; revision <= 50; revision++) add("a", 1000 + revision);
    const ofBefore = add("a", 1100);
    await claim("b");
    assert.equal((await latest()).name, ofBefore);
    assert.equal(reads(), 1, "the times of the store spare the reads");
    const damaged = add("b", 7, { damaged: true });
    const found = await latest();
    assert.deepEqual([found.name, found.passedOver.map(({ name }) => name)], [ofBefore, [damaged]]);
    // Restored without a bump, its revisions are lower than those of the cluster before.
    const own = add("b", 8);
    assert.equal((await latest()).name, own);
  });

  it("is right in a copied bucket, whose times are those of the copy", async () => {
    const { bucket, add, claim, latest } = folder();
    await claim("a");
    add("a", 10);
    await claim("b");
    const own = add("b", 1_000_000_010);
    const copied = new Date("2027-01-01T00:00:00Z");
    for (const name of bucket.objects.keys()) bucket.modified.set(name, copied);
    for (const name of bucket.objects.keys())
      if (name.includes("/claim/")) bucket.modified.set(name, new Date(copied.getTime() + 60 * minute));
    assert.equal((await latest()).name, own);
  });

  it("stays the same when a person takes the folder for the cluster that has it, or for one before it", async () => {
    const { add, claim, take, latest } = folder();
    await claim("a");
    const ofA = add("a", 100);
    await claim("b");
    const ofB = add("b", 300);
    await take("b");
    assert.equal((await latest()).name, ofB);
    await take("a");
    assert.equal((await latest()).name, ofA);
  });

  it("is that of a cluster made anew with the ID of the old one once a person has taken the folder for it", async () => {
    const { add, claim, take, latest } = folder();
    await claim("a");
    const old = add("a", 900_000);
    await take("a");
    assert.equal((await latest()).name, old);
    const anew = add("a", 40);
    assert.equal((await latest()).name, anew);
  });

  it("is not hidden by the first claim of a folder that an earlier release has written", async () => {
    const { bucket, add, claim, latest } = folder();
    add("a", 10);
    const newest = add("a", 20);
    await claim("a");
    assert.equal((await latest()).name, newest);
    const damaged = add("a", 30, { damaged: true });
    const found = await latest();
    assert.deepEqual([found.name, found.passedOver.map(({ name }) => name)], [newest, [damaged]]);
    assert.ok(bucket.objects.size > 0);
  });

  it("is found in a copied bucket also after a restored cluster has claimed the folder there", async () => {
    const { bucket, add, claim, latest } = folder();
    await claim("a");
    add("a", 10);
    await claim("b");
    const ofB = add("b", 1_000_000_010);
    const copied = Date.parse("2027-01-01T00:00:00Z");
    for (const [at, name] of [...bucket.objects.keys()].toSorted().entries())
      bucket.modified.set(name, new Date(copied + at * 60 * minute));
    await claim("c");
    assert.equal((await latest()).name, ofB);
  });

  it("goes by the names in a folder without a claim, which an earlier release has written", async () => {
    const { add, latest } = folder();
    add("a", 10);
    const byName = add("e", 3);
    assert.equal((await latest()).name, byName);
  });

  it("of a folder that holds only strangers' backups is none, and says so", async () => {
    const { add, claim, latest } = folder();
    await claim("a");
    add("e", 3);
    await assert.rejects(latest(), {
      message: /none of the 1 backups .* it is of etcd cluster e, and the folder belongs to a/,
    });
  });
});
