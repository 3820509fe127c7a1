import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { OperatorError } from "../../core/errors.ts";
import { findMismatch } from "../../core/check-schema.ts";
import { manifestOf } from "./manifest.fixture.ts";
import { manifestSchema } from "./schema.ts";
import { type Frames, maxFrames } from "./frames.ts";
import { type Manifest, encodeManifest, maxManifestSize, parseManifest } from "./manifest.ts";

const manifest = manifestOf({ ownerUid: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0" });
const objectName = `prod/${manifest.name}.json`;
const text = encodeManifest(manifest).toString();

function refuses(bytes: Uint8Array, message: RegExp, name = objectName): OperatorError {
  let thrown: unknown;
  try {
    parseManifest(bytes, name);
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown instanceof OperatorError, `it was not refused, or threw ${String(thrown)}`);
  assert.equal(thrown.code, "VerificationFailed");
  assert.ok(thrown.message.startsWith(`manifest ${name}: `), thrown.message);
  assert.match(thrown.message, message);
  return thrown;
}

/** The manifest with the field at `path` set to `value`; without it when `value` is undefined. */
function withField(path: string, value: unknown): Buffer {
  const document: Record<string, unknown> = structuredClone(manifest);
  const parts = path.split(".");
  const last = parts.pop() ?? "";
  let at = document;
  for (const part of parts) at = at[part] as Record<string, unknown>;
  at[last] = value;
  return Buffer.from(JSON.stringify(document));
}

const seconds = fc
  .date({ min: new Date("2000-01-01T00:00:00Z"), max: new Date("9999-12-31T00:00:00Z"), noInvalidDate: true })
  .map((date) => `${date.toISOString().slice(0, 19)}Z`);
const anyManifest: fc.Arbitrary<Manifest> = fc
  .record({
    clusterName: fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/),
    time: seconds,
    revision: fc.maxSafeNat(),
    runId: fc.stringMatching(/^[a-z0-9]{4,40}$/),
    ownerUid: fc.uuid(),
  })
  .map(manifestOf)
  .chain((base) =>
    fc
      .record({
        endpoint: fc.string({ maxLength: 200, unit: "grapheme" }),
        lag: fc.maxSafeNat(),
        withoutQuorum: fc.boolean(),
        hashKV: fc.option(
          fc.record(
            {
              revision: fc.maxSafeNat(),
              hash: fc.nat(),
              compactRevision: fc.integer({ min: -1 }),
              membersCompared: fc.array(fc.string(), { maxLength: 5 }),
            },
            { noNullPrototype: true },
          ),
          { nil: undefined },
        ),
        owned: fc.boolean(),
      })
      .map(({ endpoint, lag, withoutQuorum, hashKV, owned }) => {
        const { owner, ...rest } = base;
        return {
          ...rest,
          member: { ...base.member, endpoint, lag },
          snapshot: { ...base.snapshot, withoutQuorum },
          ...(hashKV === undefined ? {} : { hashKV }),
          ...(owned && owner !== undefined ? { owner } : {}),
        };
      }),
  );
const nameOf = (m: Manifest) => `${m.cluster.name}/${m.name}.json`;

describe("a manifest", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(anyManifest, (any) => {
        assert.deepEqual(parseManifest(encodeManifest(any), nameOf(any)), any);
      }),
    );
  });

  it("has the same bytes for any order of its fields", () => {
    const reversed = (value: unknown): unknown => {
      if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
      return Object.fromEntries(
        Object.entries(value)
          .toReversed()
          .map(([key, item]) => [key, reversed(item)]),
      );
    };
    fc.assert(
      fc.property(anyManifest, (any) => {
        assert.deepEqual(encodeManifest(reversed(any) as Manifest), encodeManifest(any));
      }),
    );
  });

  it("is one line of JSON with sorted keys and without undefined fields", () => {
    const encoded = encodeManifest({ ...manifestOf(), hashKV: undefined } as unknown as Manifest).toString();
    assert.match(
      encoded,
      /^\{"cluster":\{"id":"cafe","name":"prod"\},"formatVersion":1,"member":\{"endpoint":/,
    );
    assert.equal(encoded.indexOf("\n"), encoded.length - 1);
    assert.doesNotMatch(encoded, /hashKV|owner|undefined|null/);
  });

  it("may hold additional fields of a later release", () => {
    assert.equal(parseManifest(withField("snapshot.later", { of: "use" }), objectName).name, manifest.name);
  });

  it("is far smaller than the size limit", () => {
    assert.ok(encodeManifest(manifest).length < maxManifestSize / 10);
  });

  const plainBytes = 2_097_152 + 32;
  const framed = (frames: Partial<Frames>, stored: Partial<Manifest["stored"]> = {}) =>
    withField("stored", {
      ...manifest.stored,
      bytes: 60,
      frames: { plainBytes: 1_000_000, storedBytes: [10, 20, 30], ...frames },
      ...stored,
    });

  it("lists the frames of the data object", () => {
    const { frames } = parseManifest(framed({}), objectName).stored;
    assert.deepEqual(frames, { plainBytes: 1_000_000, storedBytes: [10, 20, 30] });
  });

  it("has room for the frames of 64 GiB", () => {
    const storedBytes = Array.from({ length: maxFrames }, () => 4_210_688);
    const snapshot = { ...manifest.snapshot, totalSizeBytes: maxFrames * 4_194_304 - 32 };
    const bytes = maxFrames * 4_210_688;
    const stored = { ...manifest.stored, bytes, frames: { plainBytes: 4_194_304, storedBytes } };
    const encoded = encodeManifest({ ...manifest, snapshot, stored });
    assert.equal(parseManifest(encoded, objectName).stored.frames?.storedBytes.length, maxFrames);
  });

  const wrongFrames: [string, Buffer, RegExp][] = [
    ["too few", framed({ storedBytes: [30, 30] }), /2 frames are listed, 2097184 plain bytes need 3/],
    ["too many", framed({ storedBytes: [10, 20, 20, 10] }), /4 frames are listed/],
    ["frames that are too small together", framed({ storedBytes: [10, 20, 29] }), /59 bytes together/],
    ["an empty frame", framed({ storedBytes: [0, 30, 30] }), /storedBytes\[0\]: less than 1/],
    ["frames of no bytes", framed({ plainBytes: 0 }), /plainBytes: less than 1/],
    ["frames that no reader can hold", framed({ plainBytes: 2 ** 40 }), /plainBytes is more than/],
    [
      "a frame larger than its content",
      framed({ plainBytes, storedBytes: [3_000_000] }, { bytes: 3_000_000 }),
      /frame 0 has more than/,
    ],
    ["frames of an uncompressed object", framed({}, { compression: "None" }), /need the compression Zstd/],
  ];
  for (const [what, bytes, message] of wrongFrames) {
    it(`is refused with ${what}`, () => void refuses(bytes, message));
  }

  const required = (schema: { required?: readonly string[]; properties?: object }, path: string): string[] =>
    (schema.required ?? []).flatMap((key) => {
      const here = `${path}${key}`;
      return [here, ...required(Reflect.get(schema.properties ?? {}, key) ?? {}, `${here}.`)];
    });
  for (const path of required(manifestSchema, "")) {
    it(`is refused without ${path}`, () => {
      const [field = ""] = path.split(".").slice(-1);
      assert.match(refuses(withField(path, undefined), /./).message, new RegExp(`\\b${field}\\b`));
    });
  }

  const wrong: [string, string, unknown, RegExp][] = [
    ["a hash in upper case", "snapshot.hash", "00C36CDB", /hash/],
    ["a truncated digest", "stored.sha256", "ab", /sha256/],
    ["a negative size", "stored.bytes", -1, /bytes/],
    ["a fractional size", "stored.bytes", 1.5, /bytes/],
    ["an unknown compression", "stored.compression", "Brotli", /compression/],
    ["a time with an offset", "run.completedAt", "2026-08-20T12:00:00+02:00", /completedAt/],
    ["a version before the first", "formatVersion", 0, /format version 0 is not supported/],
    ["a version as text", "formatVersion", "1", /formatVersion/],
    [
      "a compaction before the first",
      "hashKV",
      { revision: 1, hash: 1, compactRevision: -2, membersCompared: [] },
      /compactRevision/,
    ],
    [
      "the name of another object",
      "name",
      "20260820T120000Z-r00000000000000000043-0f1e2d3c4b5ax1",
      /copied or renamed/,
    ],
    ["another cluster's name", "cluster.name", "test", /names the object test\/.*copied or renamed/],
    ["another revision than in its name", "snapshot.revision", 43, /revision in its name differs/],
    [
      "data of another cluster",
      "stored.object",
      "test/20260820T120000Z-0f1e2d3c4b5ax1.db.zst",
      /is not the data of this backup/,
    ],
    ["data above the cluster's folder", "stored.object", "prod/../other/x.db", /is not the data/],
    [
      "data of another run",
      "stored.object",
      "prod/20260820T120000Z-0f1e2d3c4b5ax2.db.zst",
      /is not the data of this backup/,
    ],
    [
      "data of the same run ID at another time",
      "stored.object",
      "prod/20260820T120001Z-0f1e2d3c4b5ax1.db.zst",
      /is not the data of this backup/,
    ],
  ];
  for (const [what, path, value, message] of wrong) {
    it(`is refused with ${what}`, () => void refuses(withField(path, value), message));
  }

  it("is refused with a name that is no backup name, even if its object has that name", () => {
    refuses(withField("name", "latest"), /name latest is not a backup's name/, "prod/latest.json");
  });

  it("is refused by its format version when a later release wrote it, with a hint", () => {
    const later = Buffer.from(JSON.stringify({ formatVersion: 2, everything: "else" }));
    assert.throws(() => parseManifest(later, objectName), {
      code: "Refused",
      message: /format version 2 is not supported, only 1/,
      hint: /release of etcd-backup that wrote it, or a newer one/,
    });
  });

  for (const [what, bytes] of [
    ["nothing", Buffer.alloc(0)],
    ["half a manifest", Buffer.from(text.slice(0, text.length >> 1))],
    ["a text with an invalid byte", Buffer.from(text.replace("etcd-1", "\u00ff"), "latin1")],
    ["an error page", Buffer.from("<html><body>503</body></html>")],
  ] as const) {
    it(`is refused as JSON: ${what}`, () => void refuses(bytes, /it is not JSON/));
  }

  for (const json of ["null", "[]", "1", '"manifest"', "{}", '{"__proto__":{"formatVersion":1}}']) {
    it(`is refused: ${json}`, () => void refuses(Buffer.from(json), /./));
  }

  it("is refused without being parsed when it exceeds the size limit", () => {
    const padded = Buffer.concat([Buffer.from(text), Buffer.alloc(maxManifestSize, " ")]);
    refuses(padded, /bytes, more than the limit of 262144/);
    const whole = padded.subarray(0, maxManifestSize);
    assert.equal(parseManifest(whole, objectName).name, manifest.name);
  });

  it("is refused or still consistent after any alteration of its bytes", () => {
    const change = fc.oneof(
      fc.record({ how: fc.constant("set" as const), at: fc.nat(text.length - 1), byte: fc.nat(255) }),
      fc.record({ how: fc.constant("cut" as const), at: fc.nat(text.length - 1), byte: fc.nat(40) }),
      fc.record({ how: fc.constant("insert" as const), at: fc.nat(text.length - 1), byte: fc.nat(255) }),
    );
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        let bytes: Buffer = Buffer.from(text);
        for (const { how, at, byte } of changes) {
          const head = bytes.subarray(0, at);
          if (how === "set") bytes = Buffer.concat([head, Buffer.of(byte), bytes.subarray(at + 1)]);
          else if (how === "cut") bytes = Buffer.concat([head, bytes.subarray(at + byte)]);
          else bytes = Buffer.concat([head, Buffer.of(byte), bytes.subarray(at)]);
        }
        consistentOrRefused(bytes);
      }),
      { numRuns: 3000 },
    );
  });

  it("is refused or still consistent with any JSON value in a field", () => {
    const paths = required(manifestSchema, "");
    const json = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom<unknown>(-1, 1e300, "", "..", "a".repeat(5000), [], {}, null),
    );
    fc.assert(
      fc.property(fc.constantFrom(...paths), json, (path, value) => {
        consistentOrRefused(withField(path, value));
      }),
      { numRuns: 1000 },
    );
  });

  function consistentOrRefused(bytes: Uint8Array): void {
    try {
      const read = parseManifest(bytes, objectName);
      assert.equal(findMismatch(read, manifestSchema), undefined);
      assert.equal(nameOf(read), objectName);
      assert.equal(read.snapshot.revision, 42);
      assert.match(read.stored.object, /^prod\/[^]*$/);
      assert.doesNotMatch(read.stored.object, /\.\./);
    } catch (error) {
      assert.ok(error instanceof OperatorError, String(error));
      assert.match(error.code, /^(VerificationFailed|Refused)$/);
      assert.ok(error.message.length < 10_000, "the message does not repeat the file");
    }
  }
});
