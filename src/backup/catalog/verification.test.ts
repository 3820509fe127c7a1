import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Marks, withVerdict } from "../../core/verification/marks.ts";
import { type MemoryStore, memoryStore } from "../../store/memory/memory-store.fixture.ts";
import { addBackup } from "../manifest/manifest.fixture.ts";
import { findBackup } from "./find.ts";
import { readFolder } from "./folder-backups.ts";
import { listBackups } from "./list.ts";
import { findBackupsOfRun, sweepAbandoned } from "./orphans.ts";
import { StoreCatalog } from "./store-catalog.ts";
import { changeMarks, readMarks } from "./verification.ts";

const { signal } = new AbortController();
const day = (n: number) => `2026-08-0${n}T12:00:00Z`;
const problem = "stored SHA-256: the manifest says a, the object has b";

/** A bucket with three backups of `prod`. */
function bucketOf() {
  const bucket = memoryStore();
  const names = [1, 2, 3].map(
    (n) => addBackup(bucket, { time: day(n), revision: n, runId: `run${n}`, ownerUid: "u" }).manifest.name,
  );
  return { bucket, oldest: names[0] ?? "", newest: names[2] ?? "", middle: names[1] ?? "" };
}

const mark = (bucket: MemoryStore, name: string, why?: string, clusterName = "prod") =>
  changeMarks(bucket, clusterName, {
    change: (marks: Marks) =>
      withVerdict(
        marks,
        { name, at: new Date(day(9)), ...(why === undefined ? {} : { problem: why }) },
        () => true,
      ),
    signal,
  });

const records = (bucket: MemoryStore) =>
  [...bucket.objects.keys()].filter((name) => name.includes("/verification/"));

const catalogOf = (bucket: MemoryStore) => new StoreCatalog({ open: async () => bucket });

describe("a backup whose last verification failed", () => {
  const why = `its last verification failed on ${day(9)}: ${problem}`;

  it("is passed over by latest, which names it, and is found by its name", async () => {
    const { bucket, newest, middle } = bucketOf();
    await mark(bucket, newest, problem);
    const latest = await findBackup(bucket, { name: "latest", signal });
    assert.equal(latest.name, middle);
    assert.deepEqual(
      latest.passedOver.map((entry) => [entry.name, entry.problem]),
      [[newest, why]],
    );
    assert.equal((await findBackup(bucket, { name: newest, signal })).name, newest);
  });

  it("is listed with its problem, and retention sees the same", async () => {
    const { bucket, newest, middle, oldest } = bucketOf();
    await mark(bucket, middle, problem);
    const expected = [
      [newest, undefined],
      [middle, why],
      [oldest, undefined],
    ];
    const listed = await listBackups(bucket, { signal });
    assert.deepEqual(
      listed.map((entry) => [entry.name, entry.problem]),
      expected,
    );
    const catalog = catalogOf(bucket);
    await catalog.refresh(bucket, { signal });
    for (const folder of [await readFolder(bucket, "prod", signal), await catalog.folder("prod", signal)])
      assert.deepEqual(
        folder.toSorted((a, b) => (a.name < b.name ? 1 : -1)).map((entry) => [entry.name, entry.problem]),
        expected,
      );
  });

  it("is not the newest in the summary of the catalog, and is again after the next success", async () => {
    const { bucket, newest, middle } = bucketOf();
    await mark(bucket, newest, problem);
    const catalog = catalogOf(bucket);
    await catalog.refresh(bucket, { signal });
    assert.equal((await catalog.summarize(bucket, signal)).newest?.name, middle);
    assert.deepEqual(catalog.failedFolders(), ["prod"]);
    await mark(bucket, newest);
    await catalog.refresh(bucket, { signal });
    assert.equal((await catalog.summarize(bucket, signal)).newest?.name, newest);
    assert.deepEqual(catalog.failedFolders(), []);
  });

  it("is still found as that of its run, whose data would else be deleted", async () => {
    const { bucket, newest } = bucketOf();
    await mark(bucket, newest, problem);
    const query = { uid: "u", clusterName: "prod", runPrefix: "run3", signal };
    assert.equal((await findBackupsOfRun(bucket, query)).length, 1);
  });
});

describe("the record of verifications", () => {
  it("is one object a folder that no sweep deletes and no listing shows as a backup", async () => {
    const { bucket, newest, middle } = bucketOf();
    await mark(bucket, newest);
    await mark(bucket, middle, problem);
    await mark(bucket, newest);
    const [record, ...more] = records(bucket);
    assert.deepEqual(more, []);
    assert.equal(record, "prod/verification/00000000000000000003-failed.json");
    bucket.modified.set(record, new Date(0));
    assert.equal(await sweepAbandoned(bucket, { before: new Date(), signal }), 0);
    assert.deepEqual(records(bucket), [record]);
    const catalog = catalogOf(bucket);
    await catalog.refresh(bucket, { signal });
    assert.equal(catalog.count, 3);
  });

  it("keeps the results of two writers at the same moment", async () => {
    const { bucket, newest, middle } = bucketOf();
    await Promise.all([mark(bucket, newest, problem), mark(bucket, middle, problem)]);
    const [listed] = records(bucket);
    assert.equal(listed, "prod/verification/00000000000000000002-failed.json");
    const marks = await readMarks(
      bucket,
      { clusterName: "prod", listed: { number: 2, hasFailed: true } },
      signal,
    );
    assert.deepEqual([...marks.problems.keys()].toSorted(), [middle, newest]);
  });

  it("is read once by the catalog, again when the listing shows another one, and not at all without a failure", async () => {
    const { bucket, newest } = bucketOf();
    await mark(bucket, newest, problem);
    const catalog = catalogOf(bucket);
    const reads = async () => {
      bucket.calls.length = 0;
      await catalog.refresh(bucket, { signal });
      await catalog.folder("prod", signal);
      return bucket.calls.filter((call) => call.startsWith("get prod/verification/")).length;
    };
    assert.deepEqual([await reads(), await reads()], [1, 0]);
    await mark(bucket, newest, problem);
    assert.deepEqual([await reads(), await reads()], [1, 0]);
    await mark(bucket, newest);
    assert.deepEqual([await reads(), await reads()], [0, 0]);
  });

  it("is found where another one replaced it after the listing", async () => {
    const { bucket, newest } = bucketOf();
    await mark(bucket, newest);
    await mark(bucket, newest, problem);
    const marks = await readMarks(
      bucket,
      { clusterName: "prod", listed: { number: 1, hasFailed: false } },
      signal,
    );
    assert.equal(marks.problems.get(newest), problem);
  });

  it("of what this process noted while a listing was under way counts, though the listing does not show it", async () => {
    const { bucket, newest } = bucketOf();
    const catalog = catalogOf(bucket);
    await catalog.refresh(bucket, { signal });
    const listing = await Array.fromAsync(bucket.list("", { signal }));
    const { marks, listed } = await mark(bucket, newest, problem);
    const late = {
      async *list() {
        catalog.noteMarks("prod", marks, listed);
        yield* listing;
      },
    };
    await catalog.refresh(late, { signal });
    assert.equal((await catalog.folder("prod", signal))[0]?.problem?.includes(problem), true);
  });
});

describe("a record of verifications that cannot be read", () => {
  async function damaged(bytes = "?") {
    const world = bucketOf();
    await mark(world.bucket, world.newest, problem);
    const [record = ""] = records(world.bucket);
    world.bucket.objects.set(record, Buffer.from(bytes));
    return world;
  }

  it("makes no backup unusable for latest and list, which warn", async () => {
    const { bucket, newest } = await damaged();
    const latest = await findBackup(bucket, { name: "latest", signal });
    assert.equal(latest.name, newest);
    assert.match(
      latest.warning ?? "",
      /which backups of prod have failed .* not JSON \(inspect the object, and delete it/,
    );
    const warnings: string[] = [];
    await listBackups(bucket, { signal, onWarning: (text) => void warnings.push(text) });
    assert.equal(warnings.length, 1);
    const catalog = catalogOf(bucket);
    await catalog.refresh(bucket, { signal });
    assert.equal((await catalog.summarize(bucket, signal)).newest?.name, newest);
  });

  it("stops retention", async () => {
    const { bucket } = await damaged();
    await assert.rejects(readFolder(bucket, "prod", signal), { code: "VerificationFailed" });
    const catalog = catalogOf(bucket);
    await catalog.refresh(bucket, { signal });
    await assert.rejects(catalog.folder("prod", signal), { code: "VerificationFailed" });
  });

  it("is replaced by the next verification, unless a later release wrote it", async () => {
    const { bucket, middle } = await damaged();
    await mark(bucket, middle, problem);
    assert.deepEqual(records(bucket), ["prod/verification/00000000000000000002-failed.json"]);
    const later = await damaged('{"formatVersion":2}');
    await assert.rejects(mark(later.bucket, middle), { code: "Refused" });
    assert.deepEqual(records(later.bucket), ["prod/verification/00000000000000000001-failed.json"]);
  });
});
