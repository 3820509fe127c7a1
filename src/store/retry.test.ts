import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OperatorError } from "../core/errors.ts";
import { type RetryOptions, retry } from "./retry.ts";

const passing = new Error("passing");
const lasting = new Error("lasting");

function options(waits: number[] = []): RetryOptions {
  return {
    signal: new AbortController().signal,
    attempts: 4,
    isTransient: (error) => error === passing,
    baseMs: 100,
    maxMs: 250,
    random: () => 1,
    sleep: async (ms) => void waits.push(ms),
  };
}

describe("retry", () => {
  it("gives the result of the first attempt that succeeds", async () => {
    let calls = 0;
    const result = await retry(async (attempt) => {
      calls += 1;
      if (attempt < 3) throw passing;
      return "done";
    }, options());
    assert.deepEqual([result, calls], ["done", 3]);
  });

  it("throws the last error when the attempts are used up", async () => {
    let calls = 0;
    const failing = retry(async () => {
      calls += 1;
      throw passing;
    }, options());
    await assert.rejects(failing, (error) => error === passing);
    assert.equal(calls, 4);
  });

  it("throws a lasting error at once", async () => {
    let calls = 0;
    const failing = retry(async () => {
      calls += 1;
      throw lasting;
    }, options());
    await assert.rejects(failing, (error) => error === lasting);
    assert.equal(calls, 1);
  });

  it("waits twice as long each time, up to the maximum, times a random share", async () => {
    const waits: number[] = [];
    const failing = async () => Promise.reject(passing);
    await assert.rejects(retry(failing, options(waits)));
    assert.deepEqual(waits, [100, 200, 250]);
    waits.length = 0;
    await assert.rejects(retry(failing, { ...options(waits), random: () => 0.5 }));
    assert.deepEqual(waits, [50, 100, 125]);
  });

  it("does not try again, nor wait to its end, once the signal has fired", async () => {
    const stop = new AbortController();
    const reason = new OperatorError("Aborted", "enough");
    let calls = 0;
    const { sleep: _, ...waitingReally } = options();
    const stopping = retry(
      async () => {
        calls += 1;
        setImmediate(() => stop.abort(reason));
        throw passing;
      },
      { ...waitingReally, signal: stop.signal, baseMs: 60_000, maxMs: 60_000 },
    );
    await assert.rejects(stopping, (error) => error === reason);
    assert.equal(calls, 1);
  });
});
