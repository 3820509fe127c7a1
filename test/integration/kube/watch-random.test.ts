import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { startCache } from "../../../src/kube/watch/cache.ts";
import { type KubeClient, connect } from "../../../src/kube/client.ts";
import { type ConfigMap, configMaps } from "../../../src/kube/objects.ts";
import { startApiServer } from "../../harness/api-server.ts";
import { type Random, createRandom } from "../../harness/random.ts";
import { type BreakingProxy, startBreakingProxy } from "../../support/kube-breaking-proxy.ts";
import { eventually } from "../../support/eventually.ts";

const seed = Number(process.env["WATCH_SEED"] ?? Math.floor(Date.now() / 1000));
const seconds = Number(process.env["WATCH_SECONDS"] ?? 20);
const namespace = "random";
/** The version of an object that was deleted. */
const gone = "gone";

/** The versions of each key in order, and `gone`. */
type History = Map<string, string[]>;

function note(history: History, key: string, version: string): void {
  history.set(key, [...(history.get(key) ?? []), version]);
}

test(`behind a proxy with random faults, a cache reports no change out of order and ends in the state of the server (seed ${seed})`, async (t) => {
  t.diagnostic(`WATCH_SEED=${seed} repeats the draws; WATCH_SECONDS=${seconds}`);
  const random = createRandom(seed);
  await using server = await startApiServer();
  await server.kubectl(["create", "namespace", namespace]);
  await using proxy = await startBreakingProxy(server.kubeconfigPath);
  await using direct = await connect({ kubeconfig: server.kubeconfigPath, env: {} });
  await using broken = await connect({ kubeconfig: proxy.kubeconfigPath, env: {} });

  const real: History = new Map();
  const seen: History = new Map();
  const stop = new AbortController();
  await using cache = startCache(broken, configMaps, { namespace, signal: stop.signal });
  cache.onChange((key, object) => note(seen, key, object?.metadata.resourceVersion ?? gone));

  const end = performance.now() + seconds * 1000;
  const running = () => performance.now() < end;
  let faults = 0;
  await Promise.all([
    change(direct, { random, running, real }),
    (async () => {
      while (running()) {
        faults += 1;
        await breakSomething(proxy, random);
        await delay(random.below(400));
      }
      mend(proxy);
    })(),
  ]);

  const { items } = await direct.list(configMaps, { namespace, signal: stop.signal });
  const held = () => new Map(cache.list().map(({ metadata }) => [metadata.name, metadata.resourceVersion]));
  const expected = new Map(items.map(({ metadata }) => [metadata.name, metadata.resourceVersion]));
  await eventually(
    "the cache holds what the server holds",
    async () => {
      const now = held();
      return (
        now.size === expected.size && [...expected].every(([name, version]) => now.get(name) === version)
      );
    },
    120,
  );
  for (const [key, versions] of seen) {
    assertSubsequence(versions, real.get(key) ?? [], `${key}, seed ${seed}`);
  }
  for (const [key, versions] of real) {
    const last = seen.get(key)?.at(-1);
    const was = versions.at(-1);
    assert.ok(
      last === was || (last === undefined && was === gone),
      `${key} ended as ${was}, the watch reported ${last}`,
    );
  }
  const reported = [...seen.values()].flat().length;
  t.diagnostic(`${faults} faults, ${[...real.values()].flat().length} changes, ${reported} reported`);
  assert.ok(reported > 20, "the watch reported changes");
});

/** Creates, updates and deletes at random, and records the versions that the server returned. */
async function change(
  client: KubeClient,
  { random, running, real }: { random: Random; running: () => boolean; real: History },
): Promise<void> {
  const signal = AbortSignal.timeout(600_000);
  const live = new Map<string, ConfigMap>();
  while (running()) {
    const name = `key-${random.below(30)}`;
    const key = `${namespace}/${name}`;
    const object = live.get(name);
    if (object === undefined) {
      const draft = { metadata: { namespace, name }, data: { n: String(random.below(1e6)) } };
      const made = await client.create(configMaps, draft, { signal });
      live.set(name, made);
      note(real, key, made.metadata.resourceVersion);
    } else if (random.oneIn(3)) {
      await client.remove(configMaps, { namespace, name }, { signal });
      live.delete(name);
      note(real, key, gone);
    } else {
      const made = await client.replace(
        configMaps,
        { ...object, data: { n: String(random.below(1e9)) } },
        { signal },
      );
      live.set(name, made);
      note(real, key, made.metadata.resourceVersion);
    }
    await delay(random.below(15));
  }
}

function mend(proxy: BreakingProxy): void {
  proxy.thaw();
  proxy.refuse = undefined;
  proxy.tamper = undefined;
  proxy.cut();
}

async function breakSomething(proxy: BreakingProxy, random: Random): Promise<void> {
  switch (random.below(6)) {
    case 0:
      return proxy.cut();
    case 1: {
      const status = random.pick([410, 429, 500, 503]);
      const headers = status === 429 ? { "retry-after": "1" } : {};
      proxy.refuse = (request) =>
        request.startsWith("GET") && random.oneIn(2) ? { status, headers } : undefined;
      proxy.cut();
      await delay(random.below(1_500));
      proxy.refuse = undefined;
      return undefined;
    }
    case 2:
      proxy.tamper = (chunk) => {
        // A zero byte makes the JSON invalid. Another letter might make a different valid object, which TLS would detect.
        if (random.oneIn(3)) chunk[random.below(chunk.length)] = 0;
        return chunk;
      };
      await delay(random.below(500));
      proxy.tamper = undefined;
      return undefined;
    case 3:
      // Cuts a line. The bytes after it must not pass, since two parts put together might make a different valid object.
      proxy.tamper = cutShort(random, proxy);
      await delay(random.below(300));
      proxy.tamper = undefined;
      return undefined;
    case 4:
      void proxy.freeze();
      await delay(random.below(1_000));
      proxy.thaw();
      // Frozen connections stay frozen; a watch would notice that only after its timeout.
      proxy.cut();
      return undefined;
    default:
      await delay(random.below(800));
      return undefined;
  }
}

/** Passes on the beginning of one part of an answer and nothing after it, and closes the connection. */
function cutShort(random: Random, proxy: BreakingProxy): (chunk: Buffer) => Buffer {
  let ended = false;
  return (chunk) => {
    if (ended) return Buffer.alloc(0);
    ended = true;
    setImmediate(() => {
      proxy.cut();
      ended = false;
    });
    return chunk.subarray(0, random.below(chunk.length));
  };
}

/** Repeated versions count once: after a list a watch may report an unchanged object again. */
function assertSubsequence(part: readonly string[], whole: readonly string[], what: string): void {
  let at = 0;
  for (const item of part) {
    const found = whole.indexOf(item, at);
    assert.ok(
      found >= 0,
      `${what}: ${item} was reported out of order or never existed; reported ${part.join()}; real ${whole.join()}`,
    );
    at = found;
  }
}
