import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { createTrailerCheck, type TrailerCheckResult } from "./trailer.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();

function check(file: Uint8Array, sizes: readonly number[]): TrailerCheckResult & { released: Buffer } {
  const trailer = createTrailerCheck();
  const released: Uint8Array[] = [];
  const shared = Buffer.alloc(Math.max(...sizes));
  for (let at = 0, turn = 0; at < file.length; turn++) {
    const size = Math.min(sizes[turn % sizes.length] ?? 1, file.length - at);
    shared.set(file.subarray(at, at + size));
    for (const part of trailer.push(shared.subarray(0, size))) released.push(Buffer.from(part));
    at += size;
  }
  return { ...trailer.finish(), released: Buffer.concat(released) };
}

const cut = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 5 });
const database = fc.integer({ min: 0, max: 5 }).map((sectors) => Buffer.alloc(512 * sectors, "database"));

test("the database's bytes are returned without the trailer, which is compared", () => {
  fc.assert(
    fc.property(database, cut, (db, sizes) => {
      const file = Buffer.concat([db, sha256(db)]);
      const { released, rest, ...result } = check(file, sizes);
      assert.ok(released.equals(db));
      assert.deepEqual(Buffer.from(rest), sha256(db));
      assert.deepEqual(result, {
        dbBytes: db.length,
        trailer: "valid",
        sha256: sha256(db).toString("hex"),
        fileSha256: sha256(file).toString("hex"),
      });
    }),
  );
});

test("a file without a trailer is a database whose end is in `rest`", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), cut, (bytes, sizes) => {
      fc.pre(bytes.length % 512 !== 32);
      const { released, rest, ...result } = check(bytes, sizes);
      assert.ok(Buffer.concat([released, rest]).equals(bytes));
      const digest = sha256(bytes).toString("hex");
      assert.deepEqual(result, {
        dbBytes: bytes.length,
        trailer: "missing",
        sha256: digest,
        fileSha256: digest,
      });
    }),
  );
});

test("any flipped bit makes the trailer wrong", () => {
  const db = Buffer.alloc(1024, "database");
  const file = Buffer.concat([db, sha256(db)]);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: file.length * 8 - 1 }), cut, (bit, sizes) => {
      const bytes = Buffer.from(file);
      bytes.writeUInt8(bytes.readUInt8(Math.floor(bit / 8)) ^ (1 << (bit % 8)), Math.floor(bit / 8));
      assert.equal(check(bytes, sizes).trailer, "wrong");
    }),
  );
});
