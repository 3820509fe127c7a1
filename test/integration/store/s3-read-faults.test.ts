import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { beforeEach, describe, it } from "node:test";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { createS3Store } from "../../../src/store/s3/s3-store.ts";
import { rejection } from "../../support/operator-error.ts";
import { ProxiedStore, bucket, comparison, inParts, signal, small } from "./proxied-store.ts";

const s3 = new ProxiedStore();

describe("a get", () => {
  beforeEach(async () => {
    await s3.put("a", inParts);
    s3.proxy.seen.length = 0;
  });
  const read = async () => Buffer.concat(await Array.fromAsync(s3.store.get("a", { signal })));

  it("continues after broken connections at the same offset of the same version", async () => {
    s3.failFirst("Get", { do: "cutAnswer", after: 4_000_000 }, 3);
    assert.equal(comparison(await read(), inParts), "these bytes");
    const gets = s3.proxy.seen.filter(({ operation }) => operation === "Get");
    assert.deepEqual(
      gets.map(({ headers }) => headers.range),
      [undefined, "bytes=4000000-", "bytes=8000000-", "bytes=12000000-"],
    );
    assert.ok(gets.slice(1).every(({ headers }) => headers["if-match"] !== undefined));
  });

  for (const [offset, after, ranges] of [
    [1_000_000, 2_000_000, ["bytes=1000000-6999999", "bytes=3000000-6999999"]],
    [0, 0, ["bytes=0-5999999", "bytes=0-5999999"]],
  ] as const) {
    it(`of a range from ${offset} continues within the range after a break at ${after}`, async () => {
      s3.failFirst("Get", { do: "cutAnswer", after }, 1);
      const range = { offset, length: 6_000_000 };
      const part = Buffer.concat(await Array.fromAsync(s3.store.get("a", { signal, range })));
      assert.equal(comparison(part, inParts.subarray(offset, offset + 6_000_000)), "these bytes");
      const gets = s3.proxy.seen.filter(({ operation }) => operation === "Get");
      assert.deepEqual(
        gets.map(({ headers }) => headers.range),
        ranges,
      );
    });
  }

  it("fails when the object was changed meanwhile", async () => {
    s3.proxy.fault = async ({ operation, count: times }) => {
      if (operation !== "Get") return undefined;
      if (times === 1) return { do: "cutAnswer", after: 4_000_000 };
      const key = `${s3.options.prefix}/a`;
      await s3.raw.send(
        new PutObjectCommand({ Bucket: bucket, Key: key, Body: randomBytes(inParts.length) }),
      );
      return undefined;
    };
    const error = await rejection(read(), "VerificationFailed");
    assert.match(error.message, /changed while it was read/);
  });

  it("fails when a bit was flipped", async () => {
    s3.failFirst("Get", { do: "flipAnswer" });
    await rejection(read(), "VerificationFailed");
  });

  it("fails when the connection breaks again and again without progress", async () => {
    s3.failFirst("Get", { do: "cutAnswer", after: 1_000 }, Infinity);
    await rejection(read(), "Unreachable");
    assert.equal(s3.count("Get"), 4);
  });
});

it("a listing whose second page fails throws an error", async () => {
  s3.reopen({ attempts: 2 });
  s3.proxy.fault = ({ operation, url }) => {
    if (operation !== "List") return undefined;
    return url.includes("continuation-token")
      ? { do: "answer", status: 500, code: "InternalError" }
      : undefined;
  };
  for (let i = 0; i < 3; i += 1) await s3.put(`many/${i}`, small);
  const limited = createS3Store({ ...s3.options, attempts: 2, pageSize: 2 });
  await rejection(Array.fromAsync(limited.list("many/", { signal })), "StoreFailed");
  s3.proxy.fault = () => undefined;
  assert.equal((await Array.fromAsync(limited.list("many/", { signal }))).length, 3);
});
