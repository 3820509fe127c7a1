import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { startCache } from "../../../src/kube/watch/cache.ts";
import { connect, type KubeClient } from "../../../src/kube/client.ts";
import { applied } from "../../../src/kube/contract/objects.fixture.ts";
import { type ConfigMap, configMaps } from "../../../src/kube/objects.ts";
import {
  type WatchEvent,
  type WatchOptions,
  type WatchSource,
  watch,
} from "../../../src/kube/watch/watch.ts";
import { startApiServer } from "../../harness/api-server.ts";
import { within } from "../../support/eventually.ts";
import { type BreakingProxy, startBreakingProxy } from "../../support/kube-breaking-proxy.ts";

const owned = new AsyncDisposableStack();
after(() => owned.disposeAsync());
const server = owned.use(await startApiServer());
const client = owned.use(await connect({ kubeconfig: server.kubeconfigPath }));
const never = { signal: new AbortController().signal };

/** The events of a watch as text: `set a=1`, `gone a`, `synced`. */
interface WatchLog extends AsyncDisposable {
  readonly lines: string[];
  /** Waits for the line after the line of the last call, for half a minute at most. */
  until(line: string): Promise<void>;
}

function follow(source: WatchSource, options: WatchOptions): WatchLog {
  const stopping = new AbortController();
  const signal = AbortSignal.any([stopping.signal, options.signal]);
  const lines: string[] = [];
  let read = 0;
  let wake = Promise.withResolvers<boolean>();
  const ended = (async () => {
    const fast = { backoff: { baseMs: 20, maxMs: 200 }, ...options, signal };
    for await (const event of watch(source, configMaps, fast)) {
      lines.push(text(event));
      wake.resolve(true);
      wake = Promise.withResolvers();
    }
    wake.resolve(false);
  })();
  return {
    lines,
    async until(line) {
      for (;;) {
        const at = lines.indexOf(line, read);
        if (at >= 0) {
          read = at + 1;
          return;
        }
        const missing = `"${line}" after: ${lines.join(", ")}`;
        assert.ok(await within(missing, wake.promise, 30), `the watch ended without ${missing}`);
      }
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await ended;
    },
  };
}

function text(event: WatchEvent<ConfigMap>): string {
  if (event.type === "synced") return "synced";
  const { metadata, data } = event.object;
  return event.type === "set" ? `set ${metadata.name}=${data?.["v"]}` : `gone ${metadata.name}`;
}

/** Creates a namespace in which a test sets and removes config maps. */
async function newNamespace(name: string) {
  await server.kubectl(["create", "namespace", name]);
  const put = (key: string, v: string) =>
    applied(client, configMaps, { metadata: { namespace: name, name: key }, data: { v } }, never);
  const drop = (key: string) => client.remove(configMaps, { namespace: name, name: key }, never);
  return { namespace: name, put, drop };
}

/** A client behind a proxy that injects faults. */
async function broken(): Promise<{ proxy: BreakingProxy; through: KubeClient } & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const proxy = stack.use(await startBreakingProxy(server.kubeconfigPath));
  const through = stack.use(await connect({ kubeconfig: proxy.kubeconfigPath }));
  const moved = stack.move();
  return { proxy, through, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

const lists = (proxy: BreakingProxy) =>
  proxy.requests.filter((request) => !request.includes("watch=true")).length;
const watches = (proxy: BreakingProxy) =>
  proxy.requests.filter((request) => request.includes("watch=true")).length;

describe("a watch", { timeout: 60_000 }, () => {
  test("reports the existing objects, then every change", async ({ signal }) => {
    const { namespace, put, drop } = await newNamespace("plain");
    await put("a", "1");
    await using log = follow(client, { signal, namespace });
    await log.until("synced");
    await put("b", "1");
    await put("a", "2");
    await drop("a");
    await log.until("gone a");
    assert.deepEqual(log.lines, ["set a=1", "synced", "set b=1", "set a=2", "gone a"]);
  });

  test("with a label selector reports an object as gone when its label is removed", async ({ signal }) => {
    const { namespace } = await newNamespace("labels");
    const draft = (labels: Record<string, string>) => ({
      metadata: { namespace, name: "a", labels },
      data: { v: "1" },
    });
    await applied(client, configMaps, draft({ mine: "yes" }), never);
    await using log = follow(client, { signal, namespace, labelSelector: "mine=yes" });
    await log.until("synced");
    await applied(client, configMaps, draft({ mine: "no" }), never);
    await log.until("gone a");
  });

  test("continues without a new list when the server ends it", async ({ signal }) => {
    const { namespace, put } = await newNamespace("ending");
    await using it = await broken();
    await put("a", "1");
    await using log = follow(it.through, { signal, namespace, timeoutSeconds: 1 });
    await log.until("synced");
    for (let n = 2; watches(it.proxy) < 4; n += 1) {
      await put("a", String(n));
      await log.until(`set a=${n}`);
    }
    assert.equal(lists(it.proxy), 1);
    const numbers = log.lines.flatMap((line) => (line === "synced" ? [] : [Number(line.split("=")[1])]));
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(numbers).size, numbers.length, "no change is reported twice");
  });

  test("reconnects after a cut connection and reports the changes made meanwhile", async ({ signal }) => {
    const { namespace, put, drop } = await newNamespace("cutting");
    await using it = await broken();
    await put("a", "1");
    await put("b", "1");
    await using log = follow(it.through, { signal, namespace });
    await log.until("synced");
    await put("c", "1");
    await log.until("set c=1");
    it.proxy.refuse = () => ({ status: 503 });
    it.proxy.cut();
    await put("a", "2");
    await drop("b");
    it.proxy.refuse = undefined;
    await log.until("gone b");
    assert.ok(log.lines.includes("set a=2"));
  });

  for (const status of [429, 500]) {
    test(`survives answers of ${status}`, async ({ signal }) => {
      const { namespace, put } = await newNamespace(`answers-${status}`);
      await using it = await broken();
      let left = 12;
      it.proxy.refuse = () => (left-- > 0 ? { status, headers: { "retry-after": "0" } } : undefined);
      await put("a", "1");
      await using log = follow(it.through, { signal, namespace });
      await log.until("set a=1");
      left = 6;
      it.proxy.cut();
      await put("a", "2");
      await log.until("set a=2");
    });
  }

  test("lists again when the server no longer has its version, and reports deleted objects as gone", async ({
    signal,
  }) => {
    const { namespace, put, drop } = await newNamespace("expired");
    // A new process has no watch history from before its start.
    await server.restart();
    await put("a", "1");
    await put("b", "1");
    await using it = await broken();
    const opened: string[] = [];
    const first = Promise.withResolvers<void>();
    const old: WatchSource = {
      list: (kind, options) => it.through.list(kind, options),
      async openWatch(kind, options) {
        opened.push(options.resourceVersion);
        if (opened.length > 1) return await it.through.openWatch(kind, options);
        await first.promise;
        return await it.through.openWatch(kind, { ...options, resourceVersion: "1" });
      },
    };
    await using log = follow(old, { signal, namespace });
    await log.until("synced");
    await drop("b");
    await put("a", "2");
    first.resolve();
    await log.until("synced");
    assert.deepEqual(log.lines, ["set a=1", "set b=1", "synced", "gone b", "set a=2", "synced"]);
    assert.equal(lists(it.proxy), 2);
  });

  test("notices that etcd was restored to an earlier revision, though the server sends no error", async ({
    signal,
  }) => {
    const { namespace, put } = await newNamespace("restored");
    await put("a", "1");
    const future: WatchSource = {
      async list(kind, options) {
        const listed = await client.list(kind, options);
        return { ...listed, resourceVersion: `${listed.resourceVersion}000` };
      },
      openWatch: (kind, options) => client.openWatch(kind, options),
    };
    await using log = follow(future, { signal, namespace, timeoutSeconds: 1, silenceMs: 500 });
    await log.until("synced");
    await put("a", "2");
    await log.until("set a=2");
  });

  test("reports a change whose line arrived corrupted", async ({ signal }) => {
    const { namespace, put } = await newNamespace("garbled");
    await using it = await broken();
    await put("a", "1");
    await using log = follow(it.through, { signal, namespace });
    await log.until("synced");
    await put("a", "2");
    await log.until("set a=2");
    it.proxy.tamper = (chunk) => {
      it.proxy.tamper = undefined;
      return Buffer.from(chunk.toString("latin1").replace('"object"', '"obj\\xct'), "latin1");
    };
    await put("a", "3");
    await log.until("set a=3");
    assert.equal(lists(it.proxy), 1);
    assert.equal(watches(it.proxy), 2);
  });

  test("replaces a connection on which nothing arrives any more", async ({ signal }) => {
    const { namespace, put } = await newNamespace("half-open");
    await using it = await broken();
    await put("a", "1");
    await using log = follow(it.through, { signal, namespace, timeoutSeconds: 2, marginMs: 100 });
    await log.until("synced");
    await put("a", "2");
    await log.until("set a=2");
    const held = it.proxy.freeze();
    await put("a", "3");
    await within("the change reaches the proxy", held, 30);
    it.proxy.thaw();
    await log.until("set a=3");
    assert.equal(lists(it.proxy), 1);
    assert.ok(watches(it.proxy) >= 2);
  });

  test("survives a restart of the API server, which loses its watch history", async ({ signal }) => {
    const { namespace, put, drop } = await newNamespace("restart");
    await using it = await broken();
    await put("a", "1");
    await put("b", "1");
    await using log = follow(it.through, { signal, namespace });
    await log.until("synced");
    await put("b", "2");
    await log.until("set b=2");
    it.proxy.refuse = () => ({ status: 503, headers: { "retry-after": "0" } });
    it.proxy.cut();
    await drop("a");
    await put("c", "1");
    await server.restart();
    it.proxy.refuse = undefined;
    await log.until("gone a");
    await log.until("set c=1");
  });
});

describe("a cache", { timeout: 60_000 }, () => {
  test("holds the existing objects and calls its handlers, also a late one and after one that throws", async () => {
    const { namespace, put, drop } = await newNamespace("cached");
    await put("a", "1");
    await using cache = startCache(client, configMaps, { namespace, ...never });
    const calls: string[] = [];
    const removed = Promise.withResolvers<void>();
    cache.onChange(() => {
      throw new Error("a handler that fails");
    });
    await cache.synced;
    const stop = cache.onChange((key, object) => {
      calls.push(`${key} ${object?.data?.["v"]}`);
      if (object === undefined) removed.resolve();
    });
    assert.deepEqual(calls, ["cached/a 1"]);
    await put("b", "1");
    await drop("a");
    await within("the removal of a", removed.promise, 30);
    assert.deepEqual(calls, ["cached/a 1", "cached/b 1", "cached/a undefined"]);
    assert.deepEqual(
      cache.list().map((object) => object.metadata.name),
      ["b"],
    );
    assert.equal(cache.get("cached/b")?.data?.["v"], "1");
    stop();
  });

  test("that is stopped before its first list rejects `synced`", async () => {
    await using it = await broken();
    const held = it.proxy.freeze();
    const cache = startCache(it.through, configMaps, never);
    await within("the list reaches the proxy", held, 30);
    await cache[Symbol.asyncDispose]();
    await assert.rejects(cache.synced, { code: "Aborted" });
  });
});
