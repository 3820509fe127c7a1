import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import { createPartBuffers } from "./buffers.ts";

const { signal } = new AbortController();

describe("part buffers", () => {
  it("go round: no more than the limit are ever made", async () => {
    let made = 0;
    const buffers = createPartBuffers({
      limit: 2,
      allocate: (size) => {
        made += 1;
        return Buffer.alloc(size);
      },
    });
    for (let i = 0; i < 10; i += 1) {
      const pair = [await buffers.acquire(8, signal), await buffers.acquire(8, signal)];
      pair.forEach(buffers.release);
    }
    assert.equal(made, 2);
  });

  it("keep the one who comes too many waiting until one is given back, in order", async () => {
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

  it("are not lost to one who stopped waiting", async () => {
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
