import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { readSnapshot, type SnapshotFileReading } from "../../../src/snapshot/read.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { tempDir } from "../../harness/temp-dir.ts";
import { binary, UnavailableBinary } from "../../harness/binaries.ts";
import { run } from "../../harness/process.ts";
import { churn, raiseAlarm, writeKeys, writeMixedHistory } from "../../testdata/histories.ts";
import { statusOf } from "../../testdata/snapshot-files.ts";
import { revisionOf } from "../../support/cluster-state.ts";

const { signal } = new AbortController();

function read(file: string): Promise<SnapshotFileReading> {
  return readSnapshot(createReadStream(file, { highWaterMark: 1 << 20 }), { signal });
}

/** Saves a snapshot with etcdctl and compares its reading with `snapshot status` of etcd's own tool. */
async function compare(cluster: EtcdCluster, directory: string, stage: string): Promise<SnapshotFileReading> {
  const file = join(directory, `${stage}.db`);
  await cluster.etcdctl(["--command-timeout=120s", "snapshot", "save", file]);
  const reading = await read(file);
  assert.deepEqual(reading.violations, [], stage);
  assert.equal(reading.trailer, "valid", stage);
  assert.deepEqual(
    statusOf(reading),
    JSON.parse(await cluster.etcdutl(["snapshot", "status", file, "-w", "json"])),
    stage,
  );
  await rm(file);
  return reading;
}

for (const minor of ["3.4", "3.5", "3.6"] as const) {
  test(`etcd ${minor}: the status equals that of etcd's own tool at every stage of a database`, async (t) => {
    try {
      await binary("etcd", minor);
    } catch (error) {
      if (error instanceof UnavailableBinary) return t.skip(error.message);
      throw error;
    }
    await using cluster = await startEtcd({ minor });
    await using scratch = await tempDir("status");
    const stage = (name: string) => compare(cluster, scratch.path, name);

    const empty = await stage("empty");
    assert.equal(empty.status?.revision, 0);
    await cluster.etcdctl(["put", "one", "key"]);
    const one = await stage("one-key");
    assert.equal(one.status?.revision, 2);
    assert.equal(one.status?.liveKeys, 1);

    await writeMixedHistory(cluster);
    const mixed = await stage("mixed");
    assert.equal(mixed.status?.metadata.leases, 1);
    assert.equal(mixed.status?.metadata.compactRevision, -1);

    await churn(cluster, 3000);
    await stage("churned");
    const compacted = await revisionOf(cluster);
    await cluster.etcdctl(["compact", `${compacted}`, "--physical"]);
    const afterCompaction = await stage("compacted");
    assert.equal(afterCompaction.status?.metadata.compactRevision, compacted);
    await churn(cluster, 1000);
    await stage("churned-again");
    await cluster.etcdctl(["compact", `${await revisionOf(cluster)}`, "--physical"]);
    await cluster.etcdctl(["defrag"]);
    const defragmented = await stage("defragmented");
    assert.ok((defragmented.status?.totalSize ?? 0) < (afterCompaction.status?.totalSize ?? 0));

    await raiseAlarm(cluster);
    const { metadata } = (await stage("alarm")).status ?? {};
    assert.deepEqual(metadata?.alarms, [{ memberID: metadata?.members?.[0]?.id, alarm: "NOSPACE" }]);
    assert.equal(metadata?.members?.[0]?.name, cluster.members[0]?.name);
    assert.deepEqual(metadata?.members?.[0]?.clientURLs, cluster.endpoints);
    assert.equal(metadata?.clusterVersion, `${minor}.0`);
  });
}

test("etcd 3.6 with authentication and three members: the status has authEnabled and the members", async () => {
  await using cluster = await startEtcd({ members: 3, auth: { username: "root", password: "secret" } });
  await using scratch = await tempDir("status");
  for (let i = 0; i < 60; i++) await cluster.etcdctl(["role", "add", `role-${i}-${"x".repeat(i)}`]);
  const file = join(scratch.path, "auth.db");
  await cluster.etcdctl(["snapshot", "save", file], { endpoints: cluster.endpoints.slice(0, 1) });
  const reading = await read(file);
  assert.deepEqual(reading.violations, []);
  assert.deepEqual(
    statusOf(reading),
    JSON.parse(await cluster.etcdutl(["snapshot", "status", file, "-w", "json"])),
  );
  assert.equal(reading.status?.metadata.authEnabled, true);
  const members = reading.status?.metadata.members ?? [];
  assert.deepEqual(
    members.map((member) => member.name).sort(),
    cluster.members.map((member) => member.name).sort(),
  );
});

test("etcd 3.6 with a million keys: the status equals that of etcdutl", async () => {
  await using cluster = await startEtcd();
  await using scratch = await tempDir("status");
  await writeKeys(cluster, { keys: 1_000_000, value: (i) => Buffer.from(`value ${i}`) });
  const reading = await compare(cluster, scratch.path, "million");
  assert.equal(reading.status?.liveKeys, 1_000_000);
});

describe("reading a damaged snapshot of etcd", () => {
  const page = 4096;
  let file: Buffer;
  let scratch: Awaited<ReturnType<typeof tempDir>>;
  before(async () => {
    await using cluster = await startEtcd();
    scratch = await tempDir("damage");
    await churn(cluster, 2000);
    await cluster.etcdctl(["snapshot", "save", join(scratch.path, "sound.db")]);
    file = await readFile(join(scratch.path, "sound.db"));
  });

  after(() => scratch[Symbol.asyncDispose]());

  async function damaged(change: (bytes: Buffer) => Buffer | undefined): Promise<SnapshotFileReading> {
    const bytes = Buffer.from(file);
    const path = join(scratch.path, "damaged.db");
    await writeFile(path, change(bytes) ?? bytes);
    return read(path);
  }

  /** Whether `etcdutl snapshot status` of the damaged file fails. */
  async function etcdutlFails(): Promise<boolean> {
    const path = join(scratch.path, "damaged.db");
    const status = await run(await binary("etcdutl"), ["snapshot", "status", path, "-w", "json"]);
    return status.code !== 0;
  }

  /** Number of a page of the `key` bucket: the first branch (1) or leaf (2) on the way down its first children. */
  function findPage(type: 1 | 2): number {
    const root = Number(file.readBigUInt64LE(32)) * page;
    for (let row = root + 16; row < root + 16 + 16 * file.readUInt16LE(root + 10); row += 16) {
      const key = row + file.readUInt32LE(row + 4);
      const size = file.readUInt32LE(row + 8);
      if (file.toString("latin1", key, key + size) !== "key") continue;
      let id = Number(file.readBigUInt64LE(key + size));
      while (file.readUInt16LE(id * page + 8) !== type) id = Number(file.readBigUInt64LE(id * page + 24));
      return id;
    }
    throw new Error("no bucket key");
  }

  test("a flipped bit in the header of any kind of page is a violation at that page and a wrong trailer", async () => {
    const root = Number(file.readBigUInt64LE(32));
    for (const [kind, target] of [
      ["meta", 0],
      ["meta", 1],
      ["root", root],
      ["branch", findPage(1)],
      ["leaf", findPage(2)],
    ] as const) {
      for (const at of [0, 8]) {
        const reading = await damaged((bytes) => {
          bytes.writeUInt8(bytes.readUInt8(target * page + at) ^ 0x20, target * page + at);
          return undefined;
        });
        assert.equal(reading.trailer, "wrong");
        assert.ok(
          reading.violations.some((violation) => violation.page === target),
          `${kind} page ${target}, byte ${at}: ${JSON.stringify(reading.violations)}`,
        );
        if (kind !== "meta") assert.ok(await etcdutlFails(), "etcdutl fails too");
      }
    }
  });

  test("a zeroed page in use is a violation at that page", async () => {
    for (const target of [findPage(1), findPage(2)]) {
      const reading = await damaged((bytes) => bytes.fill(0, target * page, (target + 1) * page));
      assert.equal(reading.status, undefined);
      assert.equal(reading.violations[0]?.page, target);
      assert.ok(await etcdutlFails(), "etcdutl fails too");
    }
  });

  test("a truncated file has no trailer, and the violation gives the number of pages that are left", async () => {
    const reading = await damaged((bytes) => bytes.subarray(0, 20 * page));
    assert.equal(reading.trailer, "missing");
    assert.match(reading.violations[0]?.message ?? "", /file is truncated: it has 20 of the \d+ pages/);
  });

  test("a missing or wrong trailer is reported, though etcdutl's status does not check it", async () => {
    const missing = await damaged((bytes) => bytes.subarray(0, -32));
    assert.equal(missing.trailer, "missing");
    assert.deepEqual(missing.violations, []);
    const wrong = await damaged((bytes) => bytes.fill(0, bytes.length - 32));
    assert.equal(wrong.trailer, "wrong");
    assert.deepEqual(wrong.violations, []);
    assert.equal(await etcdutlFails(), false);
  });

  test("with a damaged first meta page the second one is used, as bbolt does, and the damage is reported", async () => {
    const undamaged = await damaged(() => undefined);
    const reading = await damaged((bytes) => bytes.fill(0, 16, 80));
    assert.deepEqual(reading.status, undamaged.status);
    assert.equal(reading.violations[0]?.page, 0);
    const status = await run(await binary("etcdutl"), [
      "snapshot",
      "status",
      join(scratch.path, "damaged.db"),
      "-w",
      "json",
    ]);
    assert.deepEqual(statusOf(reading), JSON.parse(status.stdout));
  });
});
