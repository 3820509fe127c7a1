import assert from "node:assert/strict";
import { OperatorError } from "../../src/core/errors.ts";
import { manifestOf } from "../../src/backup/manifest/manifest.fixture.ts";
import { encodeManifest, type Manifest, parseManifest } from "../../src/backup/manifest/manifest.ts";
import { mutateJson } from "./json-mutations.ts";
import type { Random } from "../harness/random.ts";
import { mutateBytes, type Target } from "./target.ts";

/**
 * A manifest is refused with VerificationFailed, or Refused when it is of a later release, or equals what is read from its canonical form. An input is the
 * object's name, a line feed, and the object's bytes.
 */
export const manifest: Target = {
  name: "manifest",
  testInputs: 8000,
  isText: true,
  generate(random) {
    const whole: Manifest = {
      ...manifestOf(random.oneIn(2) ? {} : { ownerUid: "6f9619ff-8b86-d011-b42d-00cf4fc964ff" }),
      ...(random.oneIn(2) ? {} : withFrames(manifestOf(), random)),
      ...(random.oneIn(2)
        ? {}
        : {
            hashKV: {
              revision: 42,
              hash: 7,
              compactRevision: random.pick([-1, 1]),
              membersCompared: ["a", "b"],
            },
          }),
    };
    let document = JSON.parse(encodeManifest(whole).toString());
    for (let left = random.below(4); left > 0; left--) document = mutateJson(document, random);
    let bytes: Buffer = Buffer.from(`${JSON.stringify(document) ?? ""}\n`);
    for (let left = random.oneIn(2) ? random.below(4) : 0; left > 0; left--)
      bytes = mutateBytes(bytes, random);
    if (random.oneIn(400)) bytes = deep(bytes, random);
    return Buffer.concat([Buffer.from(`${objectName(document)}\n`), bytes]);
  },
  check(input) {
    const bytes = Buffer.from(input);
    const end = Math.max(0, bytes.indexOf("\n"));
    const name = bytes.subarray(0, end).toString();
    let parsed: Manifest;
    try {
      parsed = parseManifest(bytes.subarray(end + 1), name);
    } catch (error) {
      assert.ok(error instanceof OperatorError, `threw ${String(error)}`);
      assert.match(error.code, /^(VerificationFailed|Refused)$/);
      assert.ok(error.message.length < 20_000, "the message is too long");
      return;
    }
    const body = bytes.subarray(end + 1);
    assert.deepEqual(Buffer.from(body.toString()), body, "the bytes are not UTF-8");
    const canonical = encodeManifest(parsed);
    assert.deepEqual(
      encodeManifest(reversed(parsed)),
      canonical,
      "the canonical form depends on the order of the names",
    );
    const again = parseManifest(canonical, name);
    assert.deepEqual(encodeManifest(again), canonical);
    assert.ok(!parsed.stored.object.includes("..") && !parsed.stored.object.includes("\0"));
    assert.ok(!parsed.cluster.name.includes("/"), "the cluster's name has a slash");
  },
};

/** The frames of a database of 2 MiB in frames of 1 MiB, mostly. */
function withFrames({ stored }: Manifest, random: Random): Pick<Manifest, "stored"> {
  const storedBytes = [1 + random.below(1000), 1 + random.below(1000), 1];
  const bytes = storedBytes.reduce((sum, size) => sum + size, 0);
  const plainBytes = random.pick([2 ** 20, 2 ** 20, 2 ** 20, 2 ** 22, 1]);
  return { stored: { ...stored, bytes, frames: { plainBytes, storedBytes } } };
}

/** The same value with its names in reverse order. */
function reversed<T>(value: T): T {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).map(([name, item]) => [name, reversed(item)]);
  return Object.assign(Object.create(null), Object.fromEntries(entries.toReversed()));
}

/** The name that the document gives, where it has one: a document of another name is refused at once. */
function objectName(document: unknown): string {
  const names = JSON.stringify(document, ["cluster", "name"]) ?? "";
  const [, cluster = "prod", name = "x"] =
    /"cluster":\{"name":"([^"]*)"\}.*"name":"([^"]*)"/.exec(names) ?? [];
  return `${cluster}/${name}.json`.replaceAll("\n", "");
}

/** A manifest with a property that is nested as deeply as the size limit allows. */
function deep(bytes: Buffer, random: Random): Buffer {
  const [open, close] = random.pick([
    ["[", "]"],
    ['{"a":', "}"],
  ] as const);
  const depth = Math.floor(250_000 / (open.length + close.length));
  const nested = `${open.repeat(depth)}${open === "[" ? "" : "1"}${close.repeat(depth)}`;
  return Buffer.from(`{"later":${nested},${bytes.subarray(1).toString()}`);
}
