import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  databaseOf,
  expectedStatuses,
  readInChunks,
  readWhole,
  statusOf,
} from "../../test/testdata/snapshot-files.ts";

for (const [name, expected] of expectedStatuses()) {
  test(`the status of ${name} equals that of the etcd that made it`, () => {
    const reading = readWhole(databaseOf(name));
    assert.deepEqual(reading.violations, []);
    assert.equal(reading.size, expected.totalSize);
    const { version, ...status } = statusOf(reading);
    const { version: expectedVersion, ...expectedStatus } = expected;
    assert.deepEqual(status, expectedStatus);
    assert.equal(version, expectedVersion);
  });

  test(`the status of ${name} does not depend on the size of the chunks`, () => {
    const bytes = databaseOf(name);
    const whole = readWhole(bytes);
    assert.deepEqual(readInChunks(bytes, [1]), whole);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 5 }), (sizes) => {
        assert.deepEqual(readInChunks(bytes, sizes), whole);
      }),
      { numRuns: 20 },
    );
  });
}

test("metadata of a mixed history is read from the small buckets", () => {
  for (const [name, storageVersion, term] of [
    ["mixed-3.4", "", 0n],
    ["mixed-3.5", "", 2n],
    ["mixed-3.6", "3.6.0", 2n],
  ] as const) {
    const { status } = readWhole(databaseOf(name));
    assert.ok(status !== undefined);
    assert.equal(status.storageVersion, storageVersion);
    assert.equal(status.liveKeys, 36, name);
    assert.equal(status.pageSize, 4096);
    const { members, consistentIndex, ...metadata } = status.metadata;
    assert.ok(consistentIndex !== undefined && members !== undefined);
    assert.ok(consistentIndex > 50n && consistentIndex < 100n, `consistent index ${consistentIndex}`);
    assert.deepEqual(metadata, {
      term,
      compactRevision: -1,
      clusterVersion: `${name.slice(-3)}.0`,
      alarms: [],
      authEnabled: false,
      leases: 1,
    });
    assert.equal(members.length, 1);
    assert.equal(members[0]?.name, "m0");
    assert.equal(members[0]?.isLearner, false);
    assert.match(members[0]?.id ?? "", /^[0-9a-f]{14,16}$/);
    assert.match(members[0]?.peerURLs[0] ?? "", /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.match(members[0]?.clientURLs[0] ?? "", /^http:\/\/127\.0\.0\.1:\d+$/);
  }
});

test("a compaction and an alarm are part of the metadata, and a deleted key is not a live one", () => {
  for (const name of ["churned-3.5", "churned-3.6"]) {
    const { status } = readWhole(databaseOf(name));
    assert.ok(status !== undefined);
    assert.equal(status.metadata.compactRevision, status.revision - 4);
    assert.deepEqual(status.metadata.alarms, [
      { memberID: status.metadata.members?.[0]?.id, alarm: "NOSPACE" },
    ]);
    assert.ok(status.liveKeys < status.pairs);
  }
});
