import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { OperatorError } from "../../core/errors.ts";
import { ApiStatusError } from "../errors.ts";
import { decodeLine, lines, withIdleTimeout } from "./stream.ts";

async function* streamed(...chunks: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

const all = (chunks: AsyncIterable<Uint8Array>) => Array.fromAsync(lines(chunks));

describe("lines", () => {
  test("are the same wherever the bytes are cut, also in the middle of a character", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: "grapheme", minLength: 1 }).filter((s) => !s.includes("\n"))),
        fc.array(fc.nat(), { maxLength: 20 }),
        async (texts, cuts) => {
          const bytes = Buffer.from(texts.map((text) => `${text}\n`).join(""));
          const at = [
            0,
            ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b),
            bytes.length,
          ];
          const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
          assert.deepEqual(await all(streamed(...chunks)), texts);
        },
      ),
    );
  });

  test("a last line without its newline is incomplete and dropped", async () => {
    assert.deepEqual(await all(streamed('{"a":1}\n{"b"')), ['{"a":1}']);
  });

  test("of unlimited length are refused before they fill the memory", async () => {
    const mebibyte = Buffer.alloc(1024 * 1024, "x");
    const endless = async function* () {
      for (;;) yield mebibyte;
    };
    await assert.rejects(all(endless()), { code: "Unreachable" });
  });
});

describe("a line", () => {
  const object = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "a", namespace: "b", resourceVersion: "7" },
  };

  test("that sets or removes carries its object", () => {
    for (const type of ["ADDED", "MODIFIED", "DELETED"]) {
      assert.deepEqual(decodeLine(JSON.stringify({ type, object })), { type, object });
    }
  });

  test("that is a bookmark carries its resourceVersion", () => {
    const line = JSON.stringify({ type: "BOOKMARK", object: { metadata: { resourceVersion: "9" } } });
    assert.deepEqual(decodeLine(line), { type: "BOOKMARK", resourceVersion: "9" });
  });

  test("that is an error is thrown with its status", () => {
    const status = {
      kind: "Status",
      code: 410,
      reason: "Expired",
      message: "too old resource version: 1 (5)",
    };
    assert.throws(
      () => decodeLine(JSON.stringify({ type: "ERROR", object: status })),
      (error) => error instanceof ApiStatusError && error.status === 410 && /too old/.test(error.message),
    );
  });

  for (const [what, line] of [
    ["cut JSON", '{"type":"ADDED","object":{"meta'],
    ["no object", '{"type":"ADDED"}'],
    ["JSON that is not an object", "[]"],
    ["an unknown type", JSON.stringify({ type: "RENAMED", object })],
    ["an object without a resourceVersion", '{"type":"ADDED","object":{"metadata":{"name":"a"}}}'],
    ["an object without a name", '{"type":"ADDED","object":{"metadata":{"resourceVersion":"1"}}}'],
  ] as const) {
    test(`with ${what} is an error, never ignored`, () => {
      assert.throws(() => decodeLine(line), { code: "Unreachable", permanent: false });
    });
  }

  test("of any text is an event or an OperatorError", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (line) => {
        assert.throws(() => decodeLine(line), OperatorError);
      }),
    );
  });
});

describe("the idle timeout", () => {
  test("ends a stream that sends nothing more, after the bytes that it sent", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const silent = async function* () {
      yield Buffer.from("a");
      await new Promise(() => {});
    };
    const stream = withIdleTimeout(silent(), 60_000);
    assert.equal(String((await stream.next()).value), "a");
    const next = stream.next();
    t.mock.timers.tick(60_000);
    await assert.rejects(next, { code: "Timeout" });
  });

  test("does not count the time of the consumer", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const stream = withIdleTimeout(streamed("a", "b"), 60_000);
    await stream.next();
    t.mock.timers.tick(3_600_000);
    assert.equal(String((await stream.next()).value), "b");
    assert.equal((await stream.next()).done, true);
  });
});
