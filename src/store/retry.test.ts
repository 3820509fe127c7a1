import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OperatorError } from "../core/errors.ts";
import { type RetryOptions, retry } from "./retry.ts";

const transient = new Error("transient");
const permanent = new Error("permanent");

function options(waits: number[] = []): RetryOptions {
  return {
    signal: new AbortController().signal,
    attempts: 4,
    isTransient: (error) => error === transient,
    baseMs: 100,
    maxMs: 250,
    random: () => 1,
    sleep: async (ms) => void waits.push(ms),
  };
}

describe("retry", () => {
  it("resolves to the result of the first attempt that succeeds", async () => {
    let calls = 0;
    const result = await retry(async (attempt) => {
      calls += 1;
      if (attempt < 3) throw transient;
      return "done";
    }, options());
    assert.deepEqual([result, calls], ["done", 3]);
  });

  it("throws the last error when the attempts are used up", async () => {
    let calls = 0;
    const failing = retry(async () => {
      calls += 1;
      throw transient;
    }, options());
    await assert.rejects(failing, (error) => error === transient);
    assert.equal(calls, 4);
  });

  it("throws a permanent error at once", async () => {
    let calls = 0;
    const failing = retry(async () => {
      calls += 1;
      throw permanent;
    }, options());
    await assert.rejects(failing, (error) => error === permanent);
    assert.equal(calls, 1);
  });

  it("waits twice as long each time, up to the maximum, times a random share", async () => {
    const waits: number[] = [];
    const failing = async () => Promise.reject(transient);
    await assert.rejects(retry(failing, options(waits)));
    assert.deepEqual(waits, [100, 200, 250]);
    waits.length = 0;
    await assert.rejects(retry(failing, { ...options(waits), random: () => 0.5 }));
    assert.deepEqual(waits, [50, 100, 125]);
  });

  it("neither tries again nor waits to the end after the signal has fired", async () => {
    const stop = new AbortController();
    const reason = new OperatorError("Aborted", "enough");
    let calls = 0;
    const { sleep: _, ...withRealSleep } = options();
    const stopping = retry(
      async () => {
        calls += 1;
        setImmediate(() => stop.abort(reason));
        throw transient;
      },
      { ...withRealSleep, signal: stop.signal, baseMs: 60_000, maxMs: 60_000 },
    );
    await assert.rejects(stopping, (error) => error === reason);
    assert.equal(calls, 1);
  });
});
