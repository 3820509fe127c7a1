import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  checkClusterName,
  dataObject,
  formatBackupName,
  formatTime,
  manifestObject,
  type ObjectKind,
  objectKind,
  parseBackupName,
  parseDataObject,
  parseManifestObject,
  parseRun,
  reservedKinds,
} from "./name.ts";

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
  it("have the documented format", () => {
    const time = new Date("2026-08-20T12:00:00.789Z");
    assert.equal(
      formatBackupName({ time, revision: 42, runId: "ab12x1" }),
      "20260820T120000Z-r00000000000000000042-ab12x1",
    );
    assert.equal(dataObject("prod", time, "ab12x1", "Zstd"), "prod/20260820T120000Z-ab12x1.db.zst");
    assert.equal(dataObject("prod", time, "ab12x1", "None"), "prod/20260820T120000Z-ab12x1.db");
  });

  it("are parsed to what they were formatted from", () => {
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

  it("sort by revision at equal times, and by time when seconds apart", () => {
    const seconds = fc.nat({ max: 100_000 });
    const revision = fc.oneof(fc.nat({ max: 20 }), fc.maxSafeNat());
    const near = fc.record({ seconds, revision }).map((n) => ({
      time: new Date(Date.parse("2026-12-31T12:00:00Z") + n.seconds * 1000),
      revision: n.revision,
      runId: "ab12x1",
    }));
    fc.assert(
      fc.property(near, near, fc.boolean(), (a, other, together) => {
        const b = together ? { ...other, time: a.time } : other;
        const order = a.time.getTime() - b.time.getTime() || a.revision - b.revision;
        if (order !== 0) assert.equal(formatBackupName(a) < formatBackupName(b), order < 0);
      }),
    );
  });

  it("are not found in any other text", () => {
    const altered = fc
      .tuple(name, fc.nat({ max: 60 }), fc.string({ maxLength: 3 }), fc.nat({ max: 3 }))
      .map(([n, at, insert, remove]) => {
        const text = formatBackupName(n);
        return text.slice(0, at) + insert + text.slice(at + remove);
      });
    const shaped = fc.stringMatching(/^\d{8}T\d{6}Z-r\d{20}-[a-z0-9]{3,41}$/);
    fc.assert(
      fc.property(fc.oneof(fc.string(), altered, shaped), (text) => {
        const parsed = parseBackupName(text);
        assert.ok(parsed === undefined || formatBackupName(parsed) === text);
      }),
      { numRuns: 500 },
    );
    for (const text of [
      "",
      "latest",
      "20260231T000000Z-r00000000000000000001-abcd",
      "20260820T120000Z-r1-abcd",
      "20260820T120000Z-r99999999999999999999-abcd",
      "20260820T250000Z-r00000000000000000001-abcd",
      "20260820T235960Z-r00000000000000000001-abcd",
      "20260820T120000Z-r00000000000000000001-abc",
      "20260820T120000Z-r00000000000000000001-ABCD",
      "20260820T120000Z-r00000000000000000001-abcd\n",
      "20260820T120000Z-r00000000000000000001-abcd.json",
      "prod/20260820T120000Z-r00000000000000000001-abcd",
    ]) {
      assert.equal(parseBackupName(text), undefined, text);
    }
  });
});

describe("object names", () => {
  it("are never parsed both as a manifest and as data", () => {
    const compression = fc.constantFrom("Zstd" as const, "None" as const);
    fc.assert(
      fc.property(name, compression, (n, kind) => {
        assert.equal(parseDataObject(manifestObject("prod", n)), undefined);
        assert.equal(parseManifestObject(dataObject("prod", n.time, n.runId, kind)), undefined);
        assert.equal(parseDataObject(dataObject("prod", n.time, n.runId, kind))?.runId, n.runId);
      }),
    );
  });

  it("are not parsed in a deeper or shallower folder, or with another ending", () => {
    const backup = "20260820T120000Z-r00000000000000000042-ab12x1";
    for (const object of [
      `${backup}.json`,
      `a/b/${backup}.json`,
      `/${backup}.json`,
      `prod/${backup}`,
      "prod/notes.json",
      "prod/20260820T120000Z-ab12x1.db.gz",
      "prod/20260820T120000Z-.db",
      "20260820T120000Z-ab12x1.db",
      "a/b/20260820T120000Z-ab12x1.db",
    ]) {
      assert.equal(parseManifestObject(object), undefined, object);
      assert.equal(parseDataObject(object), undefined, object);
    }
  });
});

describe("kinds of objects", () => {
  const kinds: [ObjectKind, string[]][] = [
    ["manifest", ["prod/20260820T120000Z-r00000000000000000042-ab12x1.json"]],
    ["data", ["prod/20260820T120000Z-ab12x1.db", "prod/20260820T120000Z-ab12x1.db.zst"]],
    ["restores", ["prod/restores/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0.json"]],
    ["archive", ["prod/archive/00000000000000000042-00000000000000000099.seg.zst", "prod/archive/a/b"]],
    ["drills", ["prod/drills/20260820T120000Z-ab12x1.json"]],
    ["keys", ["prod/keys/2026-08.json"]],
    ["claim", ["prod/claim.json", "prod/claim/00000000000000000001.json"]],
    ["catalog", ["prod/catalog.json", "prod/catalog/2026/08.json"]],
    [
      "unknown",
      [
        "prod/latest.json",
        "prod/archive",
        "prod/archive/",
        "prod/archives/a",
        "prod/keys.txt",
        "archive/a",
        "prod/20260820T120000Z-ab12x1.db.age",
        "prod/20260820T120000Z-r00000000000000000042-ab12x1.v2.json",
        "prod/later/20260820T120000Z-ab12x1.db",
      ],
    ],
  ];
  for (const [kind, objects] of kinds) {
    it(`are known by their names: ${kind}`, () => {
      for (const object of objects) assert.equal(objectKind(object), kind, object);
    });
  }

  it("are never a manifest or data in a reserved folder, whatever the name", () => {
    fc.assert(
      fc.property(fc.constantFrom(...reservedKinds), name, (kind, n) => {
        for (const object of [manifestObject("prod", n), dataObject("prod", n.time, n.runId, "Zstd")])
          assert.equal(objectKind(object.replace("prod/", `prod/${kind}/`)), kind);
      }),
    );
  });

  it("name the same run in the manifest, in the data and in any later object of that run", () => {
    fc.assert(
      fc.property(name, fc.constantFrom(".age", ".v2.json", "-part2", "~", ""), (n, ending) => {
        const run = { clusterName: "prod", time: formatTime(n.time), runId: n.runId };
        for (const object of [manifestObject("prod", n), dataObject("prod", n.time, n.runId, "None")])
          assert.deepEqual(parseRun(object + ending), run);
        assert.deepEqual(parseRun(`prod/${formatTime(n.time)}-${n.runId}${ending}`), run);
      }),
    );
  });
});

it("a cluster name must be one safe path segment", () => {
  for (const good of ["prod", "eu-1.prod", "a", "0", "a".repeat(63)])
    assert.equal(checkClusterName(good), good);
  for (const bad of [
    "",
    "Prod",
    "../x",
    "a/b",
    "a..b",
    "-a",
    "a-",
    ".a",
    "a".repeat(64),
    "a b",
    "a.",
    "ä",
    "a\n",
  ]) {
    assert.throws(() => checkClusterName(bad), { code: "Usage", message: /not valid/ }, bad);
  }
});
