import assert from "node:assert/strict";
import { test } from "node:test";
import { type ErrorCode, OperatorError } from "../core/errors.ts";
import { type CommitOptions, commit } from "./commit.ts";
import { addBackup, manifestOf } from "./manifest/manifest.fixture.ts";
import { encodeManifest } from "./manifest/manifest.ts";
import { memoryStore } from "../store/memory/memory-store.fixture.ts";
import type { SaveStep } from "./progress.ts";

/** The data lies in the store, the manifest is about to be written. */
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
      signal: new AbortController().signal,
      step: (step) => steps.push(step),
      ...over,
    });
  return { store, object, data, manifest, steps, run };
}

const reset = new OperatorError("Unreachable", "the connection broke");

async function rejects(promise: Promise<void>, code: ErrorCode, message: RegExp): Promise<OperatorError> {
  const error: unknown = await promise.then(
    () => assert.fail("it was committed"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof OperatorError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return error;
}

test("the manifest is written as JSON in the bucket's own class: it is read with every listing", async () => {
  const { store, object, manifest, run } = prepare();
  const asked: unknown[] = [];
  store.beforePut = (name, { contentType, storageClass }) =>
    void asked.push([name, contentType, storageClass]);
  await run();
  assert.deepEqual(asked, [[object, "application/json", "Default"]]);
  assert.deepEqual(store.objects.get(object), encodeManifest(manifest));
  assert.deepEqual(store.calls, [], "a commit that goes well asks for nothing else");
});

test("a manifest that is refused takes the data with it, and the refusal is told", async () => {
  const { store, run } = prepare();
  store.beforePut = () => {
    throw new OperatorError("Unauthorized", "no PutObject for you");
  };
  await rejects(run(), "Unauthorized", /no PutObject for you/);
  assert.deepEqual([...store.objects.keys()], []);
});

test("a manifest whose answer was lost is there all the same: the backup counts, and keeps its data", async () => {
  const { store, object, data, run } = prepare();
  const { put } = store;
  store.put = async (name, source, options) => {
    await put(name, source, options);
    throw reset;
  };
  await run();
  assert.deepEqual([...store.objects.keys()].toSorted(), [data, object].toSorted());
});

test("stopped while the manifest landed, the backup counts: somebody may have seen it", async () => {
  const { store, object, data, run } = prepare();
  const { put } = store;
  store.put = async (name, source, options) => {
    await put(name, source, options);
    throw new OperatorError("Aborted", "the lease could not be renewed in time");
  };
  await run();
  assert.deepEqual([...store.objects.keys()].toSorted(), [data, object].toSorted());
});

test("a manifest that landed is taken back only where the data that it names is gone", async () => {
  const { store, data, run } = prepare();
  let takeBack: ((signal: AbortSignal) => Promise<boolean>) | undefined;
  store.beforePut = (_, options) => void ({ takeBack } = options);
  await run();
  const { signal } = new AbortController();
  assert.equal(await takeBack?.(signal), false);
  store.objects.delete(data);
  assert.equal(await takeBack?.(signal), true);
});

test("another manifest under this name is not ours: the failure is told, and no data goes that it may name", async () => {
  const { store, object, data, manifest, run } = prepare();
  store.objects.set(object, Buffer.alloc(encodeManifest(manifest).length));
  const error = await rejects(run(), "AlreadyExists", /exists/);
  assert.equal(error.outcomeUnknown, false);
  assert.ok(store.objects.has(data));
});

test("when the store does not say whether the manifest landed, everything stays and the first failure is told", async () => {
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

test("data that cannot be tidied up does not hide why the manifest failed", async () => {
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

test("stopped before the manifest, it writes none and tidies up though its signal has fired", async () => {
  const reason = new OperatorError("Aborted", "stopped by Ctrl-C");
  const { store, run } = prepare({ signal: AbortSignal.abort(reason) });
  await rejects(run(), "Aborted", /stopped by Ctrl-C/);
  assert.deepEqual([store.puts, [...store.objects.keys()]], [[], []]);
});

test("data that does not read back as it was sent is never recorded, and may be tried again", async () => {
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

test("data that has vanished before it was read back may be sent again", async () => {
  const { store, data, run } = prepare({ readBack: true });
  store.objects.delete(data);
  const error = await rejects(
    run(),
    "VerificationFailed",
    /^reading back prod\/.*\.db\.zst: .* does not exist/,
  );
  assert.deepEqual([error.permanent, store.puts], [false, []]);
});

test("a store that breaks off while it is read back fails the commit, with its own reason", async () => {
  const { store, run } = prepare({ readBack: true });
  store.beforeCall = (call) => {
    if (call === "get") throw reset;
  };
  await rejects(run(), "Unreachable", /the connection broke/);
  assert.deepEqual([store.puts, [...store.objects.keys()]], [[], []]);
});
