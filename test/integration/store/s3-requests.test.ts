import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { createS3Store } from "../../../src/store/s3/s3-store.ts";
import type { S3Checksum } from "../../../src/store/s3/settings.ts";
import { rejection } from "../../support/operator-error.ts";
import type { S3Fault, S3Request } from "../../support/s3-fault-proxy.ts";
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

  it("gets small objects with MD5 when it refuses their CRC-32C, and later the parts of others", async () => {
    s3.proxy.fault = withoutCrc;
    assert.equal((await s3.put("a", small)).proof, "ReadBack");
    assert.equal(await s3.held("a", small), "these bytes");
    assert.ok(
      s3.proxy.seen.some(({ operation, headers }) => operation === "Put" && "content-md5" in headers),
    );
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

/** Refuses every request that holds a CRC-32C. */
function withoutCrc({ headers }: S3Request): S3Fault | undefined {
  return headers["x-amz-checksum-crc32c"] === undefined
    ? undefined
    : { do: "answer", status: 501, code: "NotImplemented" };
}

describe("a store with a fixed checksum", () => {
  const noChecksum = { "x-amz-checksum-crc32c": undefined, "x-amz-checksum-type": undefined };
  const hides = (operations: S3Request["operation"][]) => (request: S3Request) =>
    operations.includes(request.operation)
      ? ({ do: "alterAnswer", headers: noChecksum } as const)
      : undefined;
  const refusesUploads = ({ operation }: S3Request) =>
    operation === "Create" ? ({ do: "answer", status: 501, code: "NotImplemented" } as const) : undefined;
  for (const [what, fault, sizes] of [
    ["refuses it", withoutCrc, [small, inParts]],
    ["refuses it for uploads in parts", refusesUploads, [inParts]],
    ["ignores it in parts", hides(["Part"]), [inParts]],
    ["does not report it of the whole object", hides(["Head"]), [small, inParts]],
  ] as const)
    it(`CRC32C fails and leaves nothing where the store ${what}, and a probe names the setting that works`, async () => {
      s3.reopen({ checksum: "CRC32C" });
      for (const bytes of sizes) {
        s3.proxy.fault = fault;
        const { message, hint = "", permanent } = await rejection(s3.put("a", bytes), "InvalidConfiguration");
        assert.match(message, /^(storing|starting the upload of) .*: checksum CRC32C does not work: /);
        assert.match(hint, /set the checksum to Auto, or to MD5 or None \(spec\.s3\.checksum.*checksum=/);
        assert.equal(permanent, true);
        assert.equal(await s3.held("a", bytes), "nothing");
        assert.deepEqual(await s3.unfinished(), []);
      }
      const probed = await rejection(s3.store.probe({ signal, write: true }), "InvalidConfiguration");
      assert.match(probed.message, /checksum CRC32C does not work: /);
      assert.match(probed.hint ?? "", /^set the checksum to Auto, with which a trial write succeeded/);
      assert.deepEqual(await Array.fromAsync(s3.store.list("", { signal })), []);
    });

  it("MD5 and None fail where the store refuses them, and a probe names the setting that works", async () => {
    const refusals: [S3Checksum, (request: S3Request) => boolean][] = [
      ["MD5", ({ headers }) => "content-md5" in headers],
      ["None", ({ operation, headers }) => operation === "Put" && !("x-amz-checksum-crc32c" in headers)],
    ];
    for (const [checksum, refuses] of refusals) {
      s3.reopen({ checksum });
      s3.proxy.fault = (request) =>
        refuses(request) ? { do: "answer", status: 400, code: "InvalidRequest" } : undefined;
      const probed = await rejection(s3.store.probe({ signal, write: true }), "InvalidConfiguration");
      assert.match(
        probed.message,
        new RegExp(`^checksum ${checksum} does not work: storing .*InvalidRequest`),
      );
      assert.match(probed.hint ?? "", /^set the checksum to Auto, with which a trial write succeeded/);
    }
  });

  it("a probe reports the store's own error where no checksum helps", async () => {
    s3.failFirst("Put", { do: "answer", status: 400, code: "InvalidStorageClass" }, Infinity);
    const error = await rejection(s3.store.probe({ signal, write: true }), "StoreFailed");
    assert.match(error.message, /InvalidStorageClass/);
  });

  it("MD5 sends a damaged part again, and None finds it when it reads the object back", async () => {
    s3.reopen({ checksum: "MD5" });
    s3.failFirst("Part", { do: "flipRequest" });
    await s3.assertStores("a", inParts);
    assert.equal(s3.count("Part"), 5);
    s3.reopen({ checksum: "None" });
    s3.proxy.seen.length = 0;
    await s3.assertFailsAndLeavesNothing("b", inParts, "VerificationFailed");
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
