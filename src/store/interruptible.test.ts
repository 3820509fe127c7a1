import assert from "node:assert/strict";
import events from "node:events";
import { describe, it } from "node:test";
import { OperatorError } from "../core/errors.ts";
import { abortError, interruptible, lingering } from "./interruptible.ts";

describe("interruptible", () => {
  it("yields what the source yields, async or not", async () => {
    const { signal } = new AbortController();
    assert.deepEqual(await Array.fromAsync(interruptible([1, 2], signal)), [1, 2]);
    async function* later() {
      yield 1;
      yield 2;
    }
    assert.deepEqual(await Array.fromAsync(interruptible(later(), signal)), [1, 2]);
  });

  it("rethrows the error of the source as it is", async () => {
    const thrown = new Error("broke");
    async function* breaking() {
      yield 1;
      throw thrown;
    }
    const { signal } = new AbortController();
    await assert.rejects(Array.fromAsync(interruptible(breaking(), signal)), (error) => error === thrown);
  });

  it("throws as soon as the signal fires, while the source is asked for a chunk", async () => {
    const stop = new AbortController();
    async function* silent() {
      yield 1;
      setImmediate(() => stop.abort());
      await new Promise(() => {});
    }
    await assert.rejects(Array.fromAsync(interruptible(silent(), stop.signal)), { code: "Aborted" });
  });

  it("ends the source and awaits its end when it is left early", async () => {
    let ended = false;
    async function* source() {
      try {
        yield 1;
        yield 2;
      } finally {
        await new Promise((resolve) => setImmediate(resolve));
        ended = true;
      }
    }
    for await (const _ of interruptible(source(), new AbortController().signal)) break;
    assert.equal(ended, true);
  });

  it("removes its listener from the signal when it has ended", async () => {
    const stop = new AbortController();
    await Array.fromAsync(interruptible([1], stop.signal));
    assert.equal(events.getEventListeners(stop.signal, "abort").length, 0);
  });
});

describe("the error of a signal", () => {
  it("is its reason when that is an OperatorError, Timeout after a time limit, else Aborted", () => {
    const reason = new OperatorError("Refused", "no");
    assert.equal(abortError(AbortSignal.abort(reason)), reason);
    assert.equal(abortError(AbortSignal.abort()).code, "Aborted");
    assert.equal(abortError(AbortSignal.abort("a text")).code, "Aborted");
    assert.equal(abortError(AbortSignal.abort(new Error("some error"))).code, "Aborted");
    assert.equal(abortError(AbortSignal.abort(new DOMException("late", "TimeoutError"))).code, "Timeout");
  });
});

describe("a lingering signal", () => {
  it("fires after the signal and the grace period, with the same reason", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const stop = new AbortController();
    using late = lingering(stop.signal, 1_000);
    const reason = new Error("enough");
    stop.abort(reason);
    t.mock.timers.tick(999);
    assert.equal(late.signal.aborted, false);
    t.mock.timers.tick(1);
    assert.equal(late.signal.reason, reason);
  });

  it("never fires once it is disposed of", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const stop = new AbortController();
    const late = lingering(stop.signal, 1_000);
    stop.abort();
    late[Symbol.dispose]();
    t.mock.timers.tick(2_000);
    assert.equal(late.signal.aborted, false);
  });
});
