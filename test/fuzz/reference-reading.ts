import assert from "node:assert/strict";
import { crc32c } from "@node-rs/crc32";

/** The status of a valid file, computed in the simplest way: with the whole file in memory. */
export interface ReferenceReading {
  hash: number;
  revision: number;
  pairs: number;
  liveKeys: number;
  totalSize: number;
  storageVersion: string;
  pageSize: number;
}

interface Row {
  flags: number;
  key: Buffer;
  value: Buffer;
}

/** Reads a bbolt file by the documented layout. Throws AssertionError where the file violates it. */
export function readReference(file: Buffer): ReferenceReading {
  const { pageSize, root, highWater } = newestMeta(file);
  const used = new Set([0, 1]);

  function pageAt(id: number): Buffer {
    const at = id * pageSize;
    assert.ok(at + pageSize <= file.length, `page ${id} is in the file`);
    const overflow = file.readUInt32LE(at + 12);
    assert.equal(file.readBigUInt64LE(at), BigInt(id), `page ${id} has its own id`);
    assert.ok(id + overflow < highWater, `page ${id} is below the high-water mark`);
    for (let part = id; part <= id + overflow; part++) {
      assert.ok(!used.has(part), `page ${part} is used once`);
      used.add(part);
    }
    assert.ok(at + (overflow + 1) * pageSize <= file.length, `page ${id} is complete`);
    return file.subarray(at, at + (overflow + 1) * pageSize);
  }

  function* tree(id: number): Generator<Row> {
    const page = pageAt(id);
    const kind = page.readUInt16LE(8);
    if (kind === 2) return yield* leafRows(page);
    assert.equal(kind, 1, `page ${id} is a branch or a leaf`);
    for (let i = 0; i < page.readUInt16LE(10); i++) {
      yield* tree(Number(page.readBigUInt64LE(16 + 16 * i + 8)));
    }
  }

  const hashed: Buffer[] = [];
  const alive = new Map<string, boolean>();
  let revision = 0;
  let pairs = 0;
  let storageVersion = "";
  for (const bucket of inOrder(tree(root))) {
    assert.equal(bucket.flags, 1, "the root holds buckets");
    const name = bucket.key.toString("latin1");
    const page = Number(bucket.value.readBigUInt64LE(0));
    hashed.push(bucket.key);
    for (const { flags, key, value } of inOrder(
      page === 0 ? leafRows(bucket.value.subarray(16)) : tree(page),
    )) {
      assert.equal(flags, 0, "a bucket of etcd holds no bucket");
      hashed.push(key, value);
      pairs++;
      if (name === "meta" && key.toString("latin1") === "storageVersion") storageVersion = value.toString();
      if (name !== "key") continue;
      revision = Number(key.readBigInt64BE(0));
      alive.set(userKey(value).toString("latin1"), key.length === 17);
    }
  }
  const liveKeys = [...alive.values()].filter(Boolean).length;
  const hash = crc32c(Buffer.concat(hashed));
  return { hash, revision, pairs, liveKeys, totalSize: highWater * pageSize, storageVersion, pageSize };
}

function newestMeta(file: Buffer): { pageSize: number; root: number; highWater: number } {
  const pageSize = file.readUInt32LE(24);
  const at = file.readBigUInt64LE(64) > file.readBigUInt64LE(pageSize + 64) ? 0 : pageSize;
  return {
    pageSize,
    root: Number(file.readBigUInt64LE(at + 32)),
    highWater: Number(file.readBigUInt64LE(at + 56)),
  };
}

function* leafRows(page: Buffer): Generator<Row> {
  for (let i = 0; i < page.readUInt16LE(10); i++) {
    const row = 16 + 16 * i;
    const keyAt = row + page.readUInt32LE(row + 4);
    const valueAt = keyAt + page.readUInt32LE(row + 8);
    const end = valueAt + page.readUInt32LE(row + 12);
    assert.ok(end <= page.length, "a pair is in its page");
    yield {
      flags: page.readUInt32LE(row),
      key: page.subarray(keyAt, valueAt),
      value: page.subarray(valueAt, end),
    };
  }
}

function* inOrder(rows: Iterable<Row>): Generator<Row> {
  let last: Buffer | undefined;
  for (const row of rows) {
    assert.ok(last === undefined || Buffer.compare(last, row.key) < 0, "keys of a bucket ascend");
    last = row.key;
    yield row;
  }
}

/** Field 1 of a protobuf message. The last occurrence counts. */
function userKey(message: Buffer): Buffer {
  let key = Buffer.alloc(0);
  let at = 0;
  function varint(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message.readUInt8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
  }
  while (at < message.length) {
    const tag = varint();
    switch (tag & 7n) {
      case 0n:
        varint();
        break;
      case 1n:
        at += 8;
        break;
      case 5n:
        at += 4;
        break;
      case 2n: {
        const size = Number(varint());
        assert.ok(at + size <= message.length, "a field is in its message");
        if (tag >> 3n === 1n) key = Buffer.from(message.subarray(at, at + size));
        at += size;
        break;
      }
      default:
        assert.fail(`wire type ${tag & 7n}`);
    }
  }
  assert.equal(at, message.length, "a message ends after a field");
  return key;
}
