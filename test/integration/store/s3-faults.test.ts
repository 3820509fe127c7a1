import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, beforeEach, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { crc32c } from "@node-rs/crc32";
import { type ErrorCode, OperatorError } from "../../../src/core/errors.ts";
import { crcHex } from "../../../src/store/checksum.ts";
import type { S3Options } from "../../../src/store/s3/client.ts";
import { createS3Store } from "../../../src/store/s3/s3-store.ts";
import type { Store } from "../../../src/store/store.ts";
import { type S3Server, startS3 } from "../../harness/s3-server.ts";
import {
  type S3Fault,
  type S3FaultProxy,
  type S3Request,
  startS3FaultProxy,
} from "../../support/s3-fault-proxy.ts";
import { optionsFor, rawClient, smallestPart, unfinishedUploads } from "../../support/s3-store.ts";

const bucket = "faults";
const signal = AbortSignal.timeout(300_000);

describe("the S3 store behind a network that fails", () => {
  let server: S3Server;
  let proxy: S3FaultProxy;
  let raw: S3Client;
  let options: S3Options;
  let store: Store;
  let run = 0;

  before(async () => {
    server = await startS3("versitygw");
    await server.createBucket(bucket);
    proxy = await startS3FaultProxy(server.endpoint);
    raw = rawClient(server);
  });
  beforeEach(() => {
    run += 1;
    options = { ...optionsFor(server, bucket), endpoint: proxy.endpoint, prefix: `run-${run}` };
    store = createS3Store(options);
    proxy.seen.length = 0;
    proxy.fault = () => undefined;
  });
  after(async () => {
    raw.destroy();
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  const inParts = randomBytes(3 * smallestPart + 1);
  const small = randomBytes(10_000);

  /** What the store really holds, seen without the proxy: "nothing", "these bytes", or how many others. */
  async function held(name: string, expected: Buffer): Promise<string> {
    await using direct = createS3Store({ ...options, endpoint: server.endpoint });
    if ((await direct.head(name, { signal })) === undefined) return "nothing";
    return comparison(Buffer.concat(await Array.fromAsync(direct.get(name, { signal }))), expected);
  }
  const count = (operation: S3Request["operation"]) =>
    proxy.seen.filter((request) => request.operation === operation).length;
  const first = (operation: S3Request["operation"], fault: S3Fault, times = 1) => {
    proxy.fault = (request) =>
      request.operation === operation && request.count <= times ? fault : undefined;
  };
  const put = (name: string, bytes: Buffer) => store.put(name, [bytes], { signal });

  async function storedWell(name: string, bytes: Buffer): Promise<void> {
    const stored = await put(name, bytes);
    assert.equal(stored.crc32c, crcHex(crc32c(bytes)));
    assert.equal(await held(name, bytes), "these bytes");
    assert.deepEqual(await unfinishedUploads(raw, bucket), []);
  }
  async function failsAndLeavesNothing(name: string, bytes: Buffer, code: ErrorCode): Promise<OperatorError> {
    const error = await failure(put(name, bytes), code);
    assert.equal(await held(name, bytes), "nothing");
    assert.deepEqual(await unfinishedUploads(raw, bucket), []);
    return error;
  }

  describe("a put goes on after", () => {
    const passing: [string, S3Request["operation"], S3Fault, number][] = [
      ["two answers 503 to a part", "Part", { do: "answer", status: 503, code: "SlowDown" }, 2],
      ["a reset before a part", "Part", { do: "reset" }, 1],
      ["a reset in the middle of a part", "Part", { do: "cutRequest", after: 1_000_000 }, 1],
      ["a part that was altered on its way", "Part", { do: "flipRequest" }, 1],
      ["the lost answer to a part", "Part", { do: "loseAnswer" }, 1],
      ["a 500 to the start of the upload", "Create", { do: "answer", status: 500, code: "InternalError" }, 1],
      [
        "a 200 that holds an error to the completion",
        "Complete",
        { do: "answer", status: 200, code: "InternalError" },
        1,
      ],
      ["a reset before the completion", "Complete", { do: "reset" }, 1],
      ["the lost answer to the completion", "Complete", { do: "loseAnswer" }, 1],
      ["a 503 to the look-up", "Head", { do: "answer", status: 503, code: "SlowDown" }, 2],
    ];
    for (const [what, operation, fault, times] of passing) {
      it(what, async () => {
        first(operation, fault, times);
        await storedWell("a", inParts);
        assert.ok(count(operation) > times, `${count(operation)} × ${operation}`);
      });
    }

    it("the lost answer to a small object's put", async () => {
      first("Put", { do: "loseAnswer" });
      await storedWell("a", small);
      assert.equal(count("Put"), 2);
    });

    it("the 409 of a conditional put that met another", async () => {
      first("Put", { do: "answer", status: 409, code: "ConditionalRequestConflict" });
      await storedWell("a", small);
    });
  });

  describe("a put fails, and leaves nothing, after", () => {
    it("503 to a part for ever", async () => {
      store = createS3Store({ ...options, attempts: 2 });
      first("Part", { do: "answer", status: 503, code: "SlowDown" }, Infinity);
      const { permanent } = await failsAndLeavesNothing("a", inParts, "StoreFailed");
      assert.equal(permanent, false);
    });

    it("a refusal, at once", async () => {
      first("Part", { do: "answer", status: 403, code: "AccessDenied" }, Infinity);
      await failsAndLeavesNothing("a", inParts, "Unauthorized");
      assert.ok(count("Part") <= 4, `${count("Part")} parts were sent`);
    });

    it("an upload that somebody else aborted", async () => {
      first("Complete", { do: "answer", status: 404, code: "NoSuchUpload" }, Infinity);
      await failsAndLeavesNothing("a", inParts, "StoreFailed");
      assert.equal(count("Complete"), 1);
    });

    it("a store that says it holds other bytes than were sent, whole or in parts", async () => {
      proxy.fault = ({ operation }) =>
        operation === "Head" && count("Complete") + count("Put") > 0
          ? { do: "alterAnswer", headers: { "x-amz-checksum-crc32c": "AAAAAA==" } }
          : undefined;
      await failsAndLeavesNothing("a", inParts, "VerificationFailed");
      await failsAndLeavesNothing("b", small, "VerificationFailed");
    });

    it("a store that holds fewer bytes than were sent", async () => {
      proxy.fault = ({ operation }) =>
        operation === "Head" && count("Put") > 0
          ? { do: "alterAnswer", headers: { "content-length": "9999" } }
          : undefined;
      const error = await failsAndLeavesNothing("a", small, "VerificationFailed");
      assert.match(error.message, /9999 bytes, not 10000/);
    });

    it("an abort while the completion is under way", async () => {
      const stop = new AbortController();
      proxy.fault = ({ operation }) => {
        if (operation === "Complete") stop.abort();
        return undefined;
      };
      await failure(store.put("a", [inParts], { signal: stop.signal }), "Aborted");
      assert.equal(await held("a", inParts), "nothing");
      assert.deepEqual(await unfinishedUploads(raw, bucket), []);
    });

    it("an abort while a part is under way, which the store may take and keep once the upload is gone", async () => {
      const stop = new AbortController();
      let cutOff = 0;
      proxy.fault = async ({ operation }) => {
        if (operation === "Abort") {
          cutOff = proxy.seen.filter((other) => other.operation === "Part" && !other.ended).length;
        }
        if (operation !== "Part") return undefined;
        stop.abort();
        await delay(300);
        return undefined;
      };
      await failure(store.put("a", [inParts], { signal: stop.signal }), "Aborted");
      assert.equal(count("Abort"), 1);
      assert.equal(cutOff, 0, "parts were still on their way");
      assert.deepEqual(await unfinishedUploads(raw, bucket), []);
    });

    it("an abort while the upload is being started", async () => {
      const stop = new AbortController();
      proxy.fault = ({ operation }) => {
        if (operation === "Create") stop.abort();
        return undefined;
      };
      await failure(store.put("a", [inParts], { signal: stop.signal }), "Aborted");
      assert.deepEqual(await unfinishedUploads(raw, bucket), []);
    });
  });

  describe("a put whose answer was lost and that is not to be taken back", () => {
    let goes: boolean;
    beforeEach(() => {
      store = createS3Store({ ...options, attempts: 1 });
      goes = false;
    });
    const kept = () => store.put("a", [small], { signal, takeBack: async () => goes });

    it("stays: others may have seen it", async () => {
      first("Put", { do: "loseAnswer" }, 2);
      await failure(kept(), "Unreachable");
      assert.equal(await held("a", small), "these bytes");
      await failure(put("b", small), "Unreachable");
      assert.equal(await held("b", small), "nothing", "any other put is taken back");
    });

    it("goes when its caller says so then", async () => {
      first("Put", { do: "loseAnswer" });
      goes = true;
      await failure(kept(), "Unreachable");
      assert.equal(await held("a", small), "nothing");
    });

    it("goes where the store holds other bytes than were sent", async () => {
      proxy.fault = ({ operation }) =>
        operation === "Head" && count("Put") > 0
          ? { do: "alterAnswer", headers: { "x-amz-checksum-crc32c": "AAAAAA==" } }
          : undefined;
      await failure(kept(), "VerificationFailed");
      assert.equal(await held("a", small), "nothing");
    });
  });

  it("another writer's object is told from our own when the answer to a put was lost", async () => {
    proxy.fault = async ({ operation, count: times }) => {
      if (operation !== "Put" || times > 1) return undefined;
      const key = `${options.prefix}/a`;
      await raw.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: "another writer's" }));
      return { do: "reset" };
    };
    await failure(put("a", small), "AlreadyExists");
    assert.equal(await held("a", Buffer.from("another writer's")), "these bytes");
  });

  describe("a get", () => {
    beforeEach(async () => {
      await put("a", inParts);
      proxy.seen.length = 0;
    });
    const read = async () => Buffer.concat(await Array.fromAsync(store.get("a", { signal })));

    it("goes on where the connection broke, of the same version", async () => {
      first("Get", { do: "cutAnswer", after: 4_000_000 }, 3);
      assert.equal(comparison(await read(), inParts), "these bytes");
      const gets = proxy.seen.filter(({ operation }) => operation === "Get");
      assert.deepEqual(
        gets.map(({ headers }) => headers.range),
        [undefined, "bytes=4000000-", "bytes=8000000-", "bytes=12000000-"],
      );
      assert.ok(gets.slice(1).every(({ headers }) => headers["if-match"] !== undefined));
    });

    it("fails when the object was changed meanwhile", async () => {
      proxy.fault = async ({ operation, count: times }) => {
        if (operation !== "Get") return undefined;
        if (times === 1) return { do: "cutAnswer", after: 4_000_000 };
        const key = `${options.prefix}/a`;
        await raw.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: randomBytes(inParts.length) }));
        return undefined;
      };
      const error = await failure(read(), "VerificationFailed");
      assert.match(error.message, /changed while it was read/);
    });

    it("fails when a byte was altered", async () => {
      first("Get", { do: "flipAnswer" });
      await failure(read(), "VerificationFailed");
    });

    it("fails when no more bytes come, and never ends silently", async () => {
      first("Get", { do: "cutAnswer", after: 1_000 }, Infinity);
      await failure(read(), "Unreachable");
      assert.equal(count("Get"), 4);
    });
  });

  it("a listing whose second page fails throws, and does not look complete", async () => {
    store = createS3Store({ ...options, attempts: 2 });
    proxy.fault = ({ operation, url }) => {
      if (operation !== "List") return undefined;
      return url.includes("continuation-token")
        ? { do: "answer", status: 500, code: "InternalError" }
        : undefined;
    };
    for (let i = 0; i < 3; i += 1) await put(`many/${i}`, small);
    const limited = createS3Store({ ...options, attempts: 2, pageSize: 2 });
    await failure(Array.fromAsync(limited.list("many/", { signal })), "StoreFailed");
    proxy.fault = () => undefined;
    assert.equal((await Array.fromAsync(limited.list("many/", { signal }))).length, 3);
  });

  describe("a store that knows less than S3", () => {
    it("has parts checked by MD5 where it refuses CRC-32C, and the proof says so", async () => {
      proxy.fault = ({ operation, headers }) =>
        operation === "Create" && headers["x-amz-checksum-algorithm"] !== undefined
          ? { do: "answer", status: 501, code: "NotImplemented" }
          : undefined;
      const stored = await put("a", inParts);
      assert.equal(stored.proof, "PartDigests");
      assert.equal(await held("a", inParts), "these bytes");
      const parts = proxy.seen.filter(({ operation }) => operation === "Part");
      assert.equal(parts.length, 4);
      assert.ok(parts.every(({ headers }) => headers["content-md5"] !== undefined));
      first("Part", { do: "flipRequest" });
      await storedWell("b", inParts);
    });

    it("has a small object read again where it tells no checksum, and the proof says so", async () => {
      const silent = { "x-amz-checksum-crc32c": undefined, "x-amz-checksum-type": undefined };
      proxy.fault = ({ operation }) =>
        operation === "Head" || operation === "Get" ? { do: "alterAnswer", headers: silent } : undefined;
      assert.equal((await put("a", small)).proof, "ReadBack");
      proxy.fault = ({ operation }) =>
        operation === "Head"
          ? { do: "alterAnswer", headers: silent }
          : operation === "Get"
            ? { do: "flipAnswer" }
            : undefined;
      await failure(put("b", small), "VerificationFailed");
      assert.equal(await held("b", small), "nothing");
    });

    it("is asked before each put where it refuses If-None-Match, and a probe says so", async () => {
      proxy.fault = ({ headers }) =>
        headers["if-none-match"] === undefined
          ? undefined
          : { do: "answer", status: 501, code: "NotImplemented" };
      assert.equal((await put("a", small)).proof, "FullObjectCRC32C");
      await failure(put("a", randomBytes(10)), "AlreadyExists");
      await storedWell("b", inParts);
      assert.deepEqual(await store.probe({ signal, write: true }), {
        conditionalWrites: false,
        checksums: true,
        objectLock: false,
      });
      assert.equal(await held("a", small), "these bytes");
    });
  });

  it("parts are hashed once: their CRC-32C is signed, their bytes are not; small objects are signed whole", async () => {
    await put("a", inParts);
    await put("b", small);
    const [part] = proxy.seen.filter(({ operation }) => operation === "Part");
    assert.equal(part?.headers["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    assert.match(part.headers["x-amz-checksum-crc32c"] as string, /^[A-Za-z0-9+/]{6}==$/);
    assert.match(part.headers.authorization ?? "", /SignedHeaders=[^,]*x-amz-checksum-crc32c/);
    assert.equal(part.headers.expect, undefined);
    const [whole] = proxy.seen.filter(({ operation }) => operation === "Put");
    assert.match(whole?.headers["x-amz-content-sha256"] as string, /^[0-9a-f]{64}$/);
  });

  it("encryption and storage class are asked for with every object, but a manifest keeps the bucket's own class", async () => {
    store = createS3Store({
      ...options,
      storageClass: "STANDARD_IA",
      serverSideEncryption: { mode: "KMS", kmsKeyID: "key-1" },
    });
    await put("a", inParts).catch(() => {});
    await store
      .put("b", [small], { signal, storageClass: "Default", contentType: "application/json" })
      .catch(() => {});
    const [create] = proxy.seen.filter(({ operation }) => operation === "Create");
    assert.equal(create?.headers["x-amz-storage-class"], "STANDARD_IA");
    assert.equal(create.headers["x-amz-server-side-encryption"], "aws:kms");
    assert.equal(create.headers["x-amz-server-side-encryption-aws-kms-key-id"], "key-1");
    const [whole] = proxy.seen.filter(({ operation }) => operation === "Put");
    assert.equal(whole?.headers["x-amz-storage-class"], undefined);
    assert.equal(whole?.headers["x-amz-server-side-encryption"], "aws:kms");
    assert.equal(whole?.headers["content-type"], "application/json");
  });

  it("a bucket in another region is named with its region", async () => {
    const elsewhere = { "x-amz-bucket-region": "eu-central-1" };
    proxy.fault = () => ({ do: "answer", status: 301, code: "PermanentRedirect", headers: elsewhere });
    for (const call of [store.probe({ signal, write: false }), store.head("a", { signal })]) {
      const error = await failure(call, "InvalidConfiguration");
      assert.match(error.message, /is in region eu-central-1, not in us-east-1/);
      assert.match(error.hint ?? "", /eu-central-1/);
    }
  });

  it("memory is bounded: twelve parts go through three buffers", async () => {
    let buffers = 0;
    const allocate = (size: number) => {
      buffers += 1;
      return Buffer.alloc(size);
    };
    const narrow = createS3Store({ ...options, concurrency: 2 }, { allocate });
    const bytes = randomBytes(12 * smallestPart - 1);
    assert.equal((await narrow.put("a", [bytes], { signal })).proof, "FullObjectCRC32C");
    assert.equal(count("Part"), 12);
    assert.ok(buffers <= 3, `${buffers} buffers`);
    assert.equal(await held("a", bytes), "these bytes");
  });
});

/** In words, since a failed deepEqual of large buffers takes minutes to print. */
function comparison(found: Buffer, expected: Buffer): string {
  return found.equals(expected) ? "these bytes" : `${found.length} bytes, which differ`;
}

async function failure(promise: Promise<unknown>, code: ErrorCode): Promise<OperatorError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof OperatorError, String(error));
    assert.equal(error.code, code, error.message);
    return error;
  }
  assert.fail(`it succeeded, where ${code} was expected`);
}
