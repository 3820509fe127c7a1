import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import { OperatorError } from "../../core/errors.ts";
import type { UnfinishedPut } from "../store.ts";
import {
  assertAbsent,
  assertRejects,
  breaking,
  names,
  type Opened,
  signal,
  stalling,
} from "./support.fixture.ts";

export function unfinishedPutContract(opened: Opened): void {
  failedPutContract(opened);
  runningPutContract(opened);
  sweepContract(opened);
}

function failedPutContract(opened: Opened): void {
  describe("a put that fails", () => {
    for (const at of [0, 1, 3] as const) {
      it(`leaves nothing when its source throws after ${at} parts, and rethrows the error as it is`, async () => {
        const { store, partSize, unfinished } = opened();
        const thrown = new Error("the source broke");
        const put = store.put(`broken/${at}`, breaking(at * partSize, thrown), { signal });
        await assert.rejects(put, (error) => error === thrown);
        await assertAbsent(store, "broken/", `broken/${at}`);
        assert.deepEqual(await unfinished(), []);
      });
    }

    for (const at of [0, 2] as const) {
      it(`settles soon and leaves nothing when it is aborted after ${at} parts while its source stalls`, async () => {
        const { store, partSize, unfinished } = opened();
        const stop = new AbortController();
        const source = stalling(at * partSize + 100);
        const put = store.put(`aborted/${at}`, source.chunks, { signal: stop.signal });
        await source.reached;
        stop.abort(new OperatorError("Aborted", "enough"));
        await assertRejects("Aborted", put);
        await assertAbsent(store, "aborted/", `aborted/${at}`);
        assert.deepEqual(await unfinished(), []);
      });
    }

    it("does not read its source when its signal has already fired", async () => {
      const { store } = opened();
      let asked = false;
      const source = (function* () {
        asked = true;
        yield Buffer.from("x");
      })();
      await assertRejects("Aborted", store.put("late/a", source, { signal: AbortSignal.abort() }));
      assert.equal(asked, false);
      await assertAbsent(store, "late/", "late/a");
    });
  });
}

function runningPutContract(opened: Opened): void {
  describe("a put that is under way", () => {
    it("is not visible", async () => {
      const { store, partSize } = opened();
      const source = stalling(2 * partSize + 100);
      const stop = new AbortController();
      const put = store.put("underway/a", source.chunks, { signal: stop.signal });
      await source.reached;
      await assertAbsent(store, "underway/", "underway/a");
      stop.abort();
      await assertRejects("Aborted", put);
    });

    it("ends its source when it is aborted", async () => {
      const { store } = opened();
      const [begun, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      async function* source() {
        try {
          for (;;) {
            await setImmediate();
            yield Buffer.alloc(1024);
            begun.resolve();
          }
        } finally {
          ended.resolve();
        }
      }
      const stop = new AbortController();
      const put = store.put("ended/a", source(), { signal: stop.signal });
      await begun.promise;
      stop.abort();
      await assertRejects("Aborted", put);
      await ended.promise;
    });
  });
}

function sweepContract(opened: Opened): void {
  it("sweep aborts older unfinished puts under its prefix, and nothing else", async () => {
    const { store, leaveUnfinished, unfinished } = opened();
    await store.put("sweep/a/finished", [Buffer.from("x")], { signal });
    for (const object of ["sweep/a/1", "sweep/a/2", "sweep/b/1"]) await leaveUnfinished(object);
    const past = new Date(Date.now() - 3_600_000);
    const future = new Date(Date.now() + 3_600_000);
    assert.equal(await store.sweep("sweep/a/", { signal, before: past }), 0);
    assert.equal((await unfinished()).length, 3);
    assert.equal(await store.sweep("sweep/a/", { signal, before: future }), 2);
    assert.equal((await unfinished()).length, 1);
    assert.equal(await store.sweep("", { signal, before: future }), 1);
    assert.equal(await store.sweep("", { signal, before: future }), 0);
    assert.deepEqual(await names(store, "sweep/"), ["sweep/a/finished"]);
  });

  it("sweep tells which puts it aborts, and with dryRun only which ones it would abort", async () => {
    const { store, leaveUnfinished, unfinished } = opened();
    for (const object of ["dry/a/1", "dry/a/2", "dry/b/1"]) await leaveUnfinished(object);
    const before = new Date(Date.now() + 3_600_000);
    for (const dryRun of [true, false]) {
      const found: string[] = [];
      const only = (name: string) => name !== "dry/a/2";
      const onSwept = ({ name, begun }: UnfinishedPut) => {
        found.push(name);
        assert.ok(Math.abs(begun.getTime() - Date.now()) < 3_600_000, begun.toISOString());
      };
      assert.equal(await store.sweep("dry/", { signal, before, only, dryRun, onSwept }), 2);
      assert.deepEqual(found.toSorted(), ["dry/a/1", "dry/b/1"]);
      assert.equal((await unfinished()).length, dryRun ? 3 : 1);
    }
    await store.sweep("dry/", { signal, before });
  });
}
