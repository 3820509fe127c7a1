import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  checkClusterName,
  dataObject,
  formatBackupName,
  formatTime,
  manifestObject,
  parseBackupName,
  parseDataObject,
  parseManifestObject,
} from "./backup-name.ts";

const name = fc.record({
  time: fc
    .date({
      min: new Date("2000-01-01T00:00:00Z"),
      max: new Date("9999-12-31T23:59:59Z"),
      noInvalidDate: true,
    })
    .map((d) => new Date(Math.floor(d.getTime() / 1000) * 1000)),
  revision: fc.maxSafeNat(),
  runId: fc.stringMatching(/^[a-z0-9]{4,40}$/),
});

describe("backup names", () => {
  it("look as documented", () => {
    const time = new Date("2026-08-20T12:00:00.789Z");
    assert.equal(
      formatBackupName({ time, revision: 42, runId: "ab12x1" }),
      "20260820T120000Z-r00000000000000000042-ab12x1",
    );
    assert.equal(dataObject("prod", time, "ab12x1", "Zstd"), "prod/20260820T120000Z-ab12x1.db.zst");
    assert.equal(dataObject("prod", time, "ab12x1", "None"), "prod/20260820T120000Z-ab12x1.db");
  });

  it("are read back as they were written", () => {
    fc.assert(
      fc.property(name, (n) => {
        assert.deepEqual(parseBackupName(formatBackupName(n)), { ...n });
        assert.deepEqual(parseManifestObject(manifestObject("eu-1.prod", n))?.backup, { ...n });
        const data = { clusterName: "prod", time: formatTime(n.time), runId: n.runId };
        assert.deepEqual(parseDataObject(dataObject("prod", n.time, n.runId, "Zstd")), data);
      }),
    );
  });

  it("sort by time, then by revision", () => {
    fc.assert(
      fc.property(name, name, (a, b) => {
        const order = a.time.getTime() - b.time.getTime() || a.revision - b.revision;
        if (order !== 0) assert.equal(formatBackupName(a) < formatBackupName(b), order < 0);
      }),
    );
  });

  it("are not seen in anything else", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const parsed = parseBackupName(text);
        assert.ok(parsed === undefined || formatBackupName(parsed) === text);
      }),
    );
    for (const text of [
      "",
      "latest",
      "20260231T000000Z-r00000000000000000001-abcd",
      "20260820T120000Z-r1-abcd",
      "20260820T120000Z-r99999999999999999999-abcd",
    ]) {
      assert.equal(parseBackupName(text), undefined, text);
    }
  });
});

it("a cluster name is one harmless path segment", () => {
  for (const good of ["prod", "eu-1.prod", "a", "0"]) assert.equal(checkClusterName(good), good);
  for (const bad of ["", "Prod", "../x", "a/b", "a..b", "-a", "a-", ".a", "a".repeat(64), "a b"]) {
    assert.throws(() => checkClusterName(bad), { code: "Usage", message: /not valid/ }, bad);
  }
});
