import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { createS3Store } from "../../../src/store/s3/s3-store.ts";
import { rejection } from "../../support/operator-error.ts";
import { smallestPart } from "../../support/s3-store.ts";
import { ProxiedStore, inParts, signal, small } from "./proxied-store.ts";

const s3 = new ProxiedStore();

describe("a server with fewer features than S3", () => {
  it("gets parts with MD5 when it refuses CRC-32C, and the proof is PartDigests", async () => {
    s3.proxy.fault = ({ operation, headers }) =>
      operation === "Create" && headers["x-amz-checksum-algorithm"] !== undefined
        ? { do: "answer", status: 501, code: "NotImplemented" }
        : undefined;
    const stored = await s3.put("a", inParts);
    assert.equal(stored.proof, "PartDigests");
    assert.equal(await s3.held("a", inParts), "these bytes");
    const parts = s3.proxy.seen.filter(({ operation }) => operation === "Part");
    assert.equal(parts.length, 4);
    assert.ok(parts.every(({ headers }) => headers["content-md5"] !== undefined));
    s3.failFirst("Part", { do: "flipRequest" });
    await s3.assertStores("b", inParts);
  });

  it("has small objects read back when it returns no checksum, and the proof is ReadBack", async () => {
    const noChecksum = { "x-amz-checksum-crc32c": undefined, "x-amz-checksum-type": undefined };
    s3.proxy.fault = ({ operation }) =>
      operation === "Head" || operation === "Get" ? { do: "alterAnswer", headers: noChecksum } : undefined;
    assert.equal((await s3.put("a", small)).proof, "ReadBack");
    s3.proxy.fault = ({ operation }) =>
      operation === "Head"
        ? { do: "alterAnswer", headers: noChecksum }
        : operation === "Get"
          ? { do: "flipAnswer" }
          : undefined;
    await rejection(s3.put("b", small), "VerificationFailed");
    assert.equal(await s3.held("b", small), "nothing");
  });

  it("is asked for the object before each put when it refuses If-None-Match, and a probe reports it", async () => {
    s3.proxy.fault = ({ headers }) =>
      headers["if-none-match"] === undefined
        ? undefined
        : { do: "answer", status: 501, code: "NotImplemented" };
    assert.equal((await s3.put("a", small)).proof, "FullObjectCRC32C");
    await rejection(s3.put("a", randomBytes(10)), "AlreadyExists");
    await s3.assertStores("b", inParts);
    assert.deepEqual(await s3.store.probe({ signal, write: true }), {
      conditionalWrites: false,
      checksums: true,
      objectLock: false,
      versioning: false,
    });
    assert.equal(await s3.held("a", small), "these bytes");
  });
});

it("the signature covers the CRC-32C of a part, and the whole content of a small object", async () => {
  await s3.put("a", inParts);
  await s3.put("b", small);
  const [part] = s3.proxy.seen.filter(({ operation }) => operation === "Part");
  assert.equal(part?.headers["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
  assert.match(part.headers["x-amz-checksum-crc32c"] as string, /^[A-Za-z0-9+/]{6}==$/);
  assert.match(part.headers.authorization ?? "", /SignedHeaders=[^,]*x-amz-checksum-crc32c/);
  assert.equal(part.headers.expect, undefined);
  const [smallPut] = s3.proxy.seen.filter(({ operation }) => operation === "Put");
  assert.match(smallPut?.headers["x-amz-content-sha256"] as string, /^[0-9a-f]{64}$/);
});

it("every object gets encryption and storage class, except that storageClass Default keeps the bucket's class", async () => {
  s3.reopen({
    storageClass: "STANDARD_IA",
    serverSideEncryption: { mode: "KMS", kmsKeyID: "key-1" },
  });
  await s3.put("a", inParts).catch(() => {});
  await s3.store
    .put("b", [small], { signal, storageClass: "Default", contentType: "application/json" })
    .catch(() => {});
  const [create] = s3.proxy.seen.filter(({ operation }) => operation === "Create");
  assert.equal(create?.headers["x-amz-storage-class"], "STANDARD_IA");
  assert.equal(create.headers["x-amz-server-side-encryption"], "aws:kms");
  assert.equal(create.headers["x-amz-server-side-encryption-aws-kms-key-id"], "key-1");
  const [smallPut] = s3.proxy.seen.filter(({ operation }) => operation === "Put");
  assert.equal(smallPut?.headers["x-amz-storage-class"], undefined);
  assert.equal(smallPut?.headers["x-amz-server-side-encryption"], "aws:kms");
  assert.equal(smallPut?.headers["content-type"], "application/json");
});

it("the error for a bucket in another region names the region", async () => {
  const elsewhere = { "x-amz-bucket-region": "eu-central-1" };
  s3.proxy.fault = () => ({ do: "answer", status: 301, code: "PermanentRedirect", headers: elsewhere });
  for (const call of [s3.store.probe({ signal, write: false }), s3.store.head("a", { signal })]) {
    const error = await rejection(call, "InvalidConfiguration");
    assert.match(error.message, /is in region eu-central-1, not in us-east-1/);
    assert.match(error.hint ?? "", /eu-central-1/);
  }
});

it("an upload of twelve parts uses at most three part buffers", async () => {
  let buffers = 0;
  const allocate = (size: number) => {
    buffers += 1;
    return Buffer.alloc(size);
  };
  const narrow = createS3Store({ ...s3.options, concurrency: 2 }, { allocate });
  const bytes = randomBytes(12 * smallestPart - 1);
  assert.equal((await narrow.put("a", [bytes], { signal })).proof, "FullObjectCRC32C");
  assert.equal(s3.count("Part"), 12);
  assert.ok(buffers <= 3, `${buffers} buffers`);
  assert.equal(await s3.held("a", bytes), "these bytes");
});
