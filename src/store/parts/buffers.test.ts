import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import { createPartBuffers } from "./buffers.ts";

const { signal } = new AbortController();

describe("part buffers", () => {
  it("are used again: no more than the limit are allocated", async () => {
    let allocated = 0;
    const buffers = createPartBuffers({
      limit: 2,
      allocate: (size) => {
        allocated += 1;
        return Buffer.alloc(size);
      },
    });
    for (let i = 0; i < 10; i += 1) {
      const pair = [await buffers.acquire(8, signal), await buffers.acquire(8, signal)];
      pair.forEach(buffers.release);
    }
    assert.equal(allocated, 2);
  });

  it("beyond the limit are waited for in order, until one is released", async () => {
    const buffers = createPartBuffers({ limit: 1 });
    const held = await buffers.acquire(8, signal);
    const got: number[] = [];
    const waiting = [1, 2].map(async (number) => {
      const buffer = await buffers.acquire(8, signal);
      got.push(number);
      buffers.release(buffer);
    });
    await setImmediate();
    assert.deepEqual(got, []);
    buffers.release(held);
    await Promise.all(waiting);
    assert.deepEqual(got, [1, 2]);
  });

  it("are not offered to a waiter that was aborted", async () => {
    const buffers = createPartBuffers({ limit: 1 });
    const held = await buffers.acquire(8, signal);
    const stop = new AbortController();
    const impatient = buffers.acquire(8, stop.signal);
    const patient = buffers.acquire(8, signal);
    stop.abort();
    await assert.rejects(impatient, { code: "Aborted" });
    buffers.release(held);
    assert.equal((await patient).length, 8);
  });
});
