import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { rejection } from "../../support/operator-error.ts";
import type { S3Fault, S3Request } from "../../support/s3-fault-proxy.ts";
import { ProxiedStore, bucket, inParts, signal, small } from "./proxied-store.ts";

const s3 = new ProxiedStore();

describe("a put succeeds after", () => {
  const transient: [string, S3Request["operation"], S3Fault, number][] = [
    ["two answers 503 to a part", "Part", { do: "answer", status: 503, code: "SlowDown" }, 2],
    ["a reset before a part", "Part", { do: "reset" }, 1],
    ["a reset in the middle of a part", "Part", { do: "cutRequest", after: 1_000_000 }, 1],
    ["a flipped bit in a part", "Part", { do: "flipRequest" }, 1],
    ["a lost answer to a part", "Part", { do: "loseAnswer" }, 1],
    [
      "an answer 500 to the start of the upload",
      "Create",
      { do: "answer", status: 500, code: "InternalError" },
      1,
    ],
    [
      "an answer 200 with an error body to the completion",
      "Complete",
      { do: "answer", status: 200, code: "InternalError" },
      1,
    ],
    ["a reset before the completion", "Complete", { do: "reset" }, 1],
    ["a lost answer to the completion", "Complete", { do: "loseAnswer" }, 1],
    ["two answers 503 to the HEAD after it", "Head", { do: "answer", status: 503, code: "SlowDown" }, 2],
  ];
  for (const [what, operation, fault, times] of transient) {
    it(what, async () => {
      s3.failFirst(operation, fault, times);
      await s3.assertStores("a", inParts);
      assert.ok(s3.count(operation) > times, `${s3.count(operation)} × ${operation}`);
    });
  }

  it("a lost answer to the put of a small object", async () => {
    s3.failFirst("Put", { do: "loseAnswer" });
    await s3.assertStores("a", small);
    assert.equal(s3.count("Put"), 2);
  });

  it("an answer 409 to a conditional put that conflicted with another", async () => {
    s3.failFirst("Put", { do: "answer", status: 409, code: "ConditionalRequestConflict" });
    await s3.assertStores("a", small);
  });
});

describe("a put fails and leaves nothing after", () => {
  it("endless answers 503 to a part", async () => {
    s3.reopen({ attempts: 2 });
    s3.failFirst("Part", { do: "answer", status: 503, code: "SlowDown" }, Infinity);
    const { permanent } = await s3.assertFailsAndLeavesNothing("a", inParts, "StoreFailed");
    assert.equal(permanent, false);
  });

  it("an answer 403, without retries", async () => {
    s3.failFirst("Part", { do: "answer", status: 403, code: "AccessDenied" }, Infinity);
    await s3.assertFailsAndLeavesNothing("a", inParts, "Unauthorized");
    assert.ok(s3.count("Part") <= 4, `${s3.count("Part")} parts were sent`);
  });

  it("the abort of its upload by another client", async () => {
    s3.failFirst("Complete", { do: "answer", status: 404, code: "NoSuchUpload" }, Infinity);
    await s3.assertFailsAndLeavesNothing("a", inParts, "StoreFailed");
    assert.equal(s3.count("Complete"), 1);
  });

  it("a checksum in the answer that differs from that of the content", async () => {
    s3.proxy.fault = ({ operation }) =>
      operation === "Head" && s3.count("Complete") + s3.count("Put") > 0
        ? { do: "alterAnswer", headers: { "x-amz-checksum-crc32c": "AAAAAA==" } }
        : undefined;
    await s3.assertFailsAndLeavesNothing("a", inParts, "VerificationFailed");
    await s3.assertFailsAndLeavesNothing("b", small, "VerificationFailed");
  });

  it("a size in the answer that differs from that of the content", async () => {
    s3.proxy.fault = ({ operation }) =>
      operation === "Head" && s3.count("Put") > 0
        ? { do: "alterAnswer", headers: { "content-length": "9999" } }
        : undefined;
    const error = await s3.assertFailsAndLeavesNothing("a", small, "VerificationFailed");
    assert.match(error.message, /9999 bytes, not 10000/);
  });

  it("an abort during the completion", async () => {
    const stop = new AbortController();
    s3.proxy.fault = ({ operation }) => {
      if (operation === "Complete") stop.abort();
      return undefined;
    };
    await rejection(s3.store.put("a", [inParts], { signal: stop.signal }), "Aborted");
    assert.equal(await s3.held("a", inParts), "nothing");
    assert.deepEqual(await s3.unfinished(), []);
  });

  it("an abort during a part, and aborts the upload only when no part is under way", async () => {
    const stop = new AbortController();
    let partsUnderWay = 0;
    s3.proxy.fault = async ({ operation }) => {
      if (operation === "Abort") {
        partsUnderWay = s3.proxy.seen.filter(
          (request) => request.operation === "Part" && !request.ended,
        ).length;
      }
      if (operation !== "Part") return undefined;
      stop.abort();
      // The part stays under way for a while after the abort.
      await delay(300);
      return undefined;
    };
    await rejection(s3.store.put("a", [inParts], { signal: stop.signal }), "Aborted");
    assert.equal(s3.count("Abort"), 1);
    // A store may keep a part that arrives after the abort of its upload.
    assert.equal(partsUnderWay, 0, "parts under way at the abort");
    assert.deepEqual(await s3.unfinished(), []);
  });

  it("an abort during the start of the upload", async () => {
    const stop = new AbortController();
    s3.proxy.fault = ({ operation }) => {
      if (operation === "Create") stop.abort();
      return undefined;
    };
    await rejection(s3.store.put("a", [inParts], { signal: stop.signal }), "Aborted");
    assert.deepEqual(await s3.unfinished(), []);
  });
});

describe("a put with takeBack whose answer was lost", () => {
  let takeBack: boolean;
  beforeEach(() => {
    s3.reopen({ attempts: 1 });
    takeBack = false;
  });
  const putKept = () => s3.store.put("a", [small], { signal, takeBack: async () => takeBack });

  it("keeps the object when takeBack returns false", async () => {
    s3.failFirst("Put", { do: "loseAnswer" }, 2);
    await rejection(putKept(), "Unreachable");
    assert.equal(await s3.held("a", small), "these bytes");
    await rejection(s3.put("b", small), "Unreachable");
    assert.equal(await s3.held("b", small), "nothing", "without takeBack the object is removed");
  });

  it("removes the object when takeBack returns true", async () => {
    s3.failFirst("Put", { do: "loseAnswer" });
    takeBack = true;
    await rejection(putKept(), "Unreachable");
    assert.equal(await s3.held("a", small), "nothing");
  });

  it("removes an object with other bytes than were sent", async () => {
    s3.proxy.fault = ({ operation }) =>
      operation === "Head" && s3.count("Put") > 0
        ? { do: "alterAnswer", headers: { "x-amz-checksum-crc32c": "AAAAAA==" } }
        : undefined;
    await rejection(putKept(), "VerificationFailed");
    assert.equal(await s3.held("a", small), "nothing");
  });
});

it("a put whose answer was lost fails when the stored object is another writer's", async () => {
  s3.proxy.fault = async ({ operation, count: times }) => {
    if (operation !== "Put" || times > 1) return undefined;
    const key = `${s3.options.prefix}/a`;
    await s3.raw.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: "another writer's" }));
    return { do: "reset" };
  };
  await rejection(s3.put("a", small), "AlreadyExists");
  assert.equal(await s3.held("a", Buffer.from("another writer's")), "these bytes");
});
