import assert from "node:assert/strict";
import { test } from "node:test";
import { type ErrorCode, OperatorError } from "../core/errors.ts";
import { type CommitOptions, commit } from "./commit.ts";
import { addBackup, manifestOf } from "./manifest/manifest.fixture.ts";
import { encodeManifest } from "./manifest/manifest.ts";
import { memoryStore } from "../store/memory/memory-store.fixture.ts";
import type { SaveStep } from "./progress.ts";

/** A store that holds the data object, before the manifest is written. */
function prepare(over: Partial<CommitOptions> = {}) {
  const store = memoryStore();
  const { object, data } = addBackup(store);
  store.objects.delete(object);
  const manifest = manifestOf();
  const steps: SaveStep[] = [];
  const run = () =>
    commit({
      store,
      manifest,
      object,
      readBack: false,
      confirm: async () => {},
      signal: new AbortController().signal,
      step: (step) => steps.push(step),
      ...over,
    });
  return { store, object, data, manifest, steps, run };
}

const reset = new OperatorError("Unreachable", "the connection broke");

async function rejects(promise: Promise<void>, code: ErrorCode, message: RegExp): Promise<OperatorError> {
  const error: unknown = await promise.then(
    () => assert.fail("the backup was committed"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof OperatorError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return error;
}

test("the manifest is stored as JSON in the bucket's default class, since every listing reads it", async () => {
  const { store, object, manifest, run } = prepare();
  const asked: unknown[] = [];
  store.beforePut = (name, { contentType, storageClass }) =>
    void asked.push([name, contentType, storageClass]);
  await run();
  assert.deepEqual(asked, [[object, "application/json", "Default"]]);
  assert.deepEqual(store.objects.get(object), encodeManifest(manifest));
  assert.deepEqual(store.calls, [`head ${manifest.stored.object}`], "the data is looked at once");
});

test("a refused manifest throws the refusal, and the data is deleted", async () => {
  const { store, run } = prepare();
  store.beforePut = () => {
    throw new OperatorError("Unauthorized", "no PutObject for you");
  };
  await rejects(run(), "Unauthorized", /no PutObject for you/);
  assert.deepEqual([...store.objects.keys()], []);
});

test("a manifest that was stored although its answer was lost makes the backup, and the data stays", async () => {
  const { store, object, data, run } = prepare();
  const { put } = store;
  store.put = async (name, source, options) => {
    await put(name, source, options);
    throw reset;
  };
  await run();
  assert.deepEqual([...store.objects.keys()].toSorted(), [data, object].toSorted());
});

test("a manifest that was stored during an abort makes the backup, since others may have read it", async () => {
  const { store, object, data, run } = prepare();
  const { put } = store;
  store.put = async (name, source, options) => {
    await put(name, source, options);
    throw new OperatorError("Aborted", "the Lease could not be renewed in time");
  };
  await run();
  assert.deepEqual([...store.objects.keys()].toSorted(), [data, object].toSorted());
});

test("a manifest that lands after its data was deleted is deleted again, and the commit fails", async () => {
  const { store, object, data, run } = prepare();
  store.beforePut = () => void store.objects.delete(data);
  const error = await rejects(run(), "StoreFailed", /prod\/.*\.db\.zst.*no longer exists/);
  assert.deepEqual([error.permanent, error.outcomeUnknown], [false, false]);
  assert.equal(store.objects.has(object), false, "no listing shows a backup without data");
});

test("a manifest whose data has another size is deleted again, and the commit fails", async () => {
  const { store, object, data, run } = prepare();
  store.beforePut = () => void store.objects.set(data, Buffer.alloc(3));
  await rejects(run(), "StoreFailed", /has 3 bytes, not 4/);
  assert.equal(store.objects.has(object), false);
});

test("when a manifest without data cannot be deleted, the outcome is unknown", async () => {
  const { store, data, run } = prepare();
  store.beforePut = () => void store.objects.delete(data);
  store.beforeCall = (call) => {
    if (call === "remove") throw new OperatorError("Unauthorized", "no DeleteObject");
  };
  assert.equal((await rejects(run(), "StoreFailed", /no longer exists/)).outcomeUnknown, true);
});

test("a store that does not answer the look at the data does not undo the backup", async () => {
  const { store, object, data, run } = prepare();
  store.beforeCall = (call) => {
    if (call === "head") throw reset;
  };
  await run();
  assert.deepEqual([...store.objects.keys()].toSorted(), [data, object].toSorted());
});

test("a stored manifest is taken back only when its data no longer exists", async () => {
  const { store, data, run } = prepare();
  let takeBack: ((signal: AbortSignal) => Promise<boolean>) | undefined;
  store.beforePut = (_, options) => void ({ takeBack } = options);
  await run();
  const { signal } = new AbortController();
  assert.equal(await takeBack?.(signal), false);
  store.objects.delete(data);
  assert.equal(await takeBack?.(signal), true);
});

test("a foreign manifest of the same name fails the commit, and the data that it may name stays", async () => {
  const { store, object, data, manifest, run } = prepare();
  store.objects.set(object, Buffer.alloc(encodeManifest(manifest).length));
  const error = await rejects(run(), "AlreadyExists", /exists/);
  assert.equal(error.outcomeUnknown, false);
  assert.ok(store.objects.has(data));
});

test("when the store does not say whether it holds the manifest, the data stays and the put error is thrown", async () => {
  const { store, data, run } = prepare();
  store.beforePut = () => {
    throw reset;
  };
  store.beforeCall = () => {
    throw new OperatorError("StoreFailed", "503 SlowDown");
  };
  const error = await rejects(run(), "Unreachable", /the connection broke/);
  assert.deepEqual([error.outcomeUnknown, error.permanent], [true, false]);
  assert.ok(store.objects.has(data));
});

test("a failed deletion of the data does not replace the commit error", async () => {
  const { store, run } = prepare();
  store.beforePut = () => {
    throw reset;
  };
  store.beforeCall = (call) => {
    if (call === "remove") throw new OperatorError("Unauthorized", "no DeleteObject");
  };
  const error = await rejects(run(), "Unreachable", /the connection broke/);
  assert.equal(error.outcomeUnknown, false);
});

test("an abort before the manifest writes none, and the data is deleted", async () => {
  const reason = new OperatorError("Aborted", "stopped by Ctrl-C");
  const { store, run } = prepare({ signal: AbortSignal.abort(reason) });
  await rejects(run(), "Aborted", /stopped by Ctrl-C/);
  assert.deepEqual([store.puts, [...store.objects.keys()]], [[], []]);
});

test("data that reads back altered gets no manifest, and the error is not permanent", async () => {
  const { store, steps, run } = prepare({ readBack: true });
  const error = await rejects(
    run(),
    "VerificationFailed",
    /^reading back prod\/.*\.db\.zst: .*stored SHA-256/,
  );
  assert.equal(error.permanent, false);
  assert.deepEqual([store.puts, [...store.objects.keys()]], [[], []]);
  assert.deepEqual(steps.at(-1), { step: "ReadingBack", readBytes: 4, totalBytes: 4 });
});

test("data that no longer exists when it is read back gives an error that is not permanent", async () => {
  const { store, data, run } = prepare({ readBack: true });
  store.objects.delete(data);
  const error = await rejects(
    run(),
    "VerificationFailed",
    /^reading back prod\/.*\.db\.zst: .* does not exist/,
  );
  assert.deepEqual([error.permanent, store.puts], [false, []]);
});

test("a store that fails during reading back fails the commit with its own error", async () => {
  const { store, run } = prepare({ readBack: true });
  store.beforeCall = (call) => {
    if (call === "get") throw reset;
  };
  await rejects(run(), "Unreachable", /the connection broke/);
  assert.deepEqual([store.puts, [...store.objects.keys()]], [[], []]);
});
