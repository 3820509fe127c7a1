import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { startCache } from "../../../src/kube/watch/cache.ts";
import { connect, type KubeClient } from "../../../src/kube/client.ts";
import { type ConfigMap, configMaps } from "../../../src/kube/objects.ts";
import {
  type WatchEvent,
  type WatchOptions,
  type WatchSource,
  watch,
} from "../../../src/kube/watch/watch.ts";
import { startApiServer } from "../../harness/api-server.ts";
import { type BreakingProxy, startBreakingProxy } from "../../support/kube-breaking-proxy.ts";

const owned = new AsyncDisposableStack();
after(() => owned.disposeAsync());
const server = owned.use(await startApiServer());
const client = owned.use(await connect({ kubeconfig: server.kubeconfigPath }));
const never = { signal: new AbortController().signal };

/** What a watch says, as text: `set a=1`, `gone a`, `synced`. */
interface Story extends AsyncDisposable {
  readonly told: string[];
  /** Resolves when `line` has been said (again) after what was awaited before. */
  until(line: string): Promise<void>;
}

function follow(source: WatchSource, options: WatchOptions): Story {
  const stopping = new AbortController();
  const signal = AbortSignal.any([stopping.signal, options.signal]);
  const told: string[] = [];
  let read = 0;
  let wake = Promise.withResolvers<boolean>();
  const ended = (async () => {
    const fast = { backoff: { baseMs: 20, maxMs: 200 }, ...options, signal };
    for await (const event of watch(source, configMaps, fast)) {
      told.push(text(event));
      wake.resolve(true);
      wake = Promise.withResolvers();
    }
    wake.resolve(false);
  })();
  return {
    told,
    async until(line) {
      for (;;) {
        const at = told.indexOf(line, read);
        if (at >= 0) {
          read = at + 1;
          return;
        }
        assert.ok(await wake.promise, `"${line}" never came; what came: ${told.join(", ")}`);
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

/** A namespace of its own, in which a test sets and removes config maps. */
async function place(name: string) {
  await server.kubectl(["create", "namespace", name]);
  const put = (key: string, v: string) =>
    client.apply(configMaps, { metadata: { namespace: name, name: key }, data: { v } }, never);
  const drop = (key: string) => client.remove(configMaps, { namespace: name, name: key }, never);
  return { namespace: name, put, drop };
}

/** A client whose stream the test breaks. */
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
  test("reports what is there, then every change", async ({ signal }) => {
    const { namespace, put, drop } = await place("plain");
    await put("a", "1");
    await using story = follow(client, { signal, namespace });
    await story.until("synced");
    await put("b", "1");
    await put("a", "2");
    await drop("a");
    await story.until("gone a");
    assert.deepEqual(story.told, ["set a=1", "synced", "set b=1", "set a=2", "gone a"]);
  });

  test("with a label selector says gone when the label is taken away", async ({ signal }) => {
    const { namespace } = await place("labels");
    const draft = (labels: Record<string, string>) => ({
      metadata: { namespace, name: "a", labels },
      data: { v: "1" },
    });
    await client.apply(configMaps, draft({ mine: "yes" }), never);
    await using story = follow(client, { signal, namespace, labelSelector: "mine=yes" });
    await story.until("synced");
    await client.apply(configMaps, draft({ mine: "no" }), never);
    await story.until("gone a");
  });

  test("goes on from where it was when the server ends it, without a new list", async ({ signal }) => {
    const { namespace, put } = await place("ending");
    await using it = await broken();
    await put("a", "1");
    await using story = follow(it.through, { signal, namespace, timeoutSeconds: 1 });
    await story.until("synced");
    for (let n = 2; watches(it.proxy) < 4; n += 1) {
      await put("a", String(n));
      await story.until(`set a=${n}`);
    }
    assert.equal(lists(it.proxy), 1);
    const numbers = story.told.flatMap((line) => (line === "synced" ? [] : [Number(line.split("=")[1])]));
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(numbers).size, numbers.length, "nothing was told twice");
  });

  test("takes up a connection that was cut, and tells what happened meanwhile", async ({ signal }) => {
    const { namespace, put, drop } = await place("cutting");
    await using it = await broken();
    await put("a", "1");
    await put("b", "1");
    await using story = follow(it.through, { signal, namespace });
    await story.until("synced");
    await put("c", "1");
    await story.until("set c=1");
    it.proxy.refuse = () => ({ status: 503 });
    it.proxy.cut();
    await put("a", "2");
    await drop("b");
    it.proxy.refuse = undefined;
    await story.until("gone b");
    assert.ok(story.told.includes("set a=2"));
  });

  for (const status of [429, 500]) {
    test(`outlives answers of ${status}`, async ({ signal }) => {
      const { namespace, put } = await place(`answers-${status}`);
      await using it = await broken();
      let left = 12;
      it.proxy.refuse = () => (left-- > 0 ? { status, headers: { "retry-after": "0" } } : undefined);
      await put("a", "1");
      await using story = follow(it.through, { signal, namespace });
      await story.until("set a=1");
      left = 6;
      it.proxy.cut();
      await put("a", "2");
      await story.until("set a=2");
    });
  }

  test("begins anew from a version the server no longer has, and says what is gone", async ({ signal }) => {
    const { namespace, put, drop } = await place("expired");
    // A new process remembers nothing from before its start.
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
    await using story = follow(old, { signal, namespace });
    await story.until("synced");
    await drop("b");
    await put("a", "2");
    first.resolve();
    await story.until("synced");
    assert.deepEqual(story.told, ["set a=1", "set b=1", "synced", "gone b", "set a=2", "synced"]);
    assert.equal(lists(it.proxy), 2);
  });

  test("notices an etcd that was restored to an earlier revision, though the server keeps silent about it", async ({
    signal,
  }) => {
    const { namespace, put } = await place("restored");
    await put("a", "1");
    const future: WatchSource = {
      async list(kind, options) {
        const listed = await client.list(kind, options);
        return { ...listed, resourceVersion: `${listed.resourceVersion}000` };
      },
      openWatch: (kind, options) => client.openWatch(kind, options),
    };
    await using story = follow(future, { signal, namespace, timeoutSeconds: 1, silenceMs: 500 });
    await story.until("synced");
    await put("a", "2");
    await story.until("set a=2");
  });

  test("never skips a line that arrives garbled", async ({ signal }) => {
    const { namespace, put } = await place("garbled");
    await using it = await broken();
    await put("a", "1");
    await using story = follow(it.through, { signal, namespace });
    await story.until("synced");
    await put("a", "2");
    await story.until("set a=2");
    it.proxy.tamper = (chunk) => {
      it.proxy.tamper = undefined;
      return Buffer.from(chunk.toString("latin1").replace('"object"', '"obj\\xct'), "latin1");
    };
    await put("a", "3");
    await story.until("set a=3");
    assert.equal(lists(it.proxy), 1);
    assert.equal(watches(it.proxy), 2);
  });

  test("leaves a connection on which nothing comes any more", async ({ signal }) => {
    const { namespace, put } = await place("half-open");
    await using it = await broken();
    await put("a", "1");
    await using story = follow(it.through, { signal, namespace, timeoutSeconds: 2, marginMs: 100 });
    await story.until("synced");
    await put("a", "2");
    await story.until("set a=2");
    const held = it.proxy.freeze();
    await put("a", "3");
    await held;
    it.proxy.thaw();
    await story.until("set a=3");
    assert.equal(lists(it.proxy), 1);
    assert.ok(watches(it.proxy) >= 2);
  });

  test("outlives the API server, whose memory of the past is gone with it", async ({ signal }) => {
    const { namespace, put, drop } = await place("restart");
    await using it = await broken();
    await put("a", "1");
    await put("b", "1");
    await using story = follow(it.through, { signal, namespace });
    await story.until("synced");
    await put("b", "2");
    await story.until("set b=2");
    it.proxy.refuse = () => ({ status: 503, headers: { "retry-after": "0" } });
    it.proxy.cut();
    await drop("a");
    await put("c", "1");
    await server.restart();
    it.proxy.refuse = undefined;
    await story.until("gone a");
    await story.until("set c=1");
  });
});

describe("a cache", { timeout: 60_000 }, () => {
  test("holds what is there and tells its handlers, one that came late and one that throws too", async () => {
    const { namespace, put, drop } = await place("cached");
    await put("a", "1");
    await using cache = startCache(client, configMaps, { namespace, ...never });
    const heard: string[] = [];
    const awaited = Promise.withResolvers<void>();
    cache.onChange(() => {
      throw new Error("a handler of no use");
    });
    await cache.synced;
    const stop = cache.onChange((key, object) => {
      heard.push(`${key} ${object?.data?.["v"]}`);
      if (object === undefined) awaited.resolve();
    });
    assert.deepEqual(heard, ["cached/a 1"]);
    await put("b", "1");
    await drop("a");
    await awaited.promise;
    assert.deepEqual(heard, ["cached/a 1", "cached/b 1", "cached/a undefined"]);
    assert.deepEqual(
      cache.list().map((object) => object.metadata.name),
      ["b"],
    );
    assert.equal(cache.get("cached/b")?.data?.["v"], "1");
    stop();
  });

  test("that is stopped before it is filled says so", async () => {
    await using it = await broken();
    const held = it.proxy.freeze();
    const cache = startCache(it.through, configMaps, never);
    await held;
    await cache[Symbol.asyncDispose]();
    await assert.rejects(cache.synced, { code: "Aborted" });
  });
});
