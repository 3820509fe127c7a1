import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import type { OperatorError } from "../../core/errors.ts";
import { ApiStatusError, classifyStatus } from "../errors.ts";
import { type ConfigMap, configMaps, objectKey } from "../objects.ts";
import { watch, type WatchSource } from "./watch.ts";

interface Change {
  version: number;
  type: "ADDED" | "MODIFIED" | "DELETED";
  object: ConfigMap;
}

function configMap(name: string, uid: string, version: number): ConfigMap {
  const metadata = {
    name,
    namespace: "n",
    uid,
    resourceVersion: `v${version}`,
    generation: 1,
    creationTimestamp: "2026-01-01T00:00:00Z",
  };
  return { apiVersion: "v1", kind: "ConfigMap", metadata };
}

/** An API server with a history that tests compact, and with watches that end as a test asks. */
class FakeServer implements WatchSource {
  readonly #objects = new Map<string, ConfigMap>();
  readonly #history: Change[] = [];
  #version = 1;
  #uid = 0;
  /** Changes up to this version are compacted. */
  #compacted = 0;
  /** How the next watches end, after so many events. */
  readonly endings: Ending[] = [];
  lists = 0;
  watches = 0;
  #nextChange = Promise.withResolvers<void>();

  set(name: string): void {
    const before = this.#objects.get(name);
    const version = ++this.#version;
    const object = configMap(name, before?.metadata.uid ?? `u${++this.#uid}`, version);
    this.#objects.set(name, object);
    this.#publish({ version, type: before === undefined ? "ADDED" : "MODIFIED", object });
  }

  remove(name: string): void {
    const before = this.#objects.get(name);
    if (before === undefined) return;
    const version = ++this.#version;
    this.#objects.delete(name);
    this.#publish({ version, type: "DELETED", object: configMap(name, before.metadata.uid, version) });
  }

  compact(): void {
    this.#compacted = this.#version;
  }

  get state(): string[] {
    return [...this.#objects.values()].map(identity).toSorted();
  }

  #publish(change: Change): void {
    this.#history.push(change);
    this.#nextChange.resolve();
    this.#nextChange = Promise.withResolvers();
  }

  list: WatchSource["list"] = async (_kind, { signal }) => {
    signal.throwIfAborted();
    this.lists += 1;
    const items = [...this.#objects.values()];
    return { items: items as never[], resourceVersion: `v${this.#version}` };
  };

  openWatch: WatchSource["openWatch"] = async (_kind, { resourceVersion, signal }) => {
    this.watches += 1;
    const from = Number(resourceVersion.slice(1));
    if (from < this.#compacted) throw expired();
    return this.#stream(from, this.endings.shift() ?? "none", signal);
  };

  async *#stream(from: number, ending: Ending, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let at = from;
    const left = typeof ending === "object" ? ending.after : Number.POSITIVE_INFINITY;
    let sent = 0;
    for (;;) {
      signal.throwIfAborted();
      const change = this.#history.find(({ version }) => version > at);
      const how = typeof ending === "object" ? ending.how : ending;
      if (how !== "none" && (sent >= left || change === undefined)) {
        if (how === "close") return;
        if (how === "reset") throw Object.assign(new Error("aborted"), { code: "ECONNRESET" });
        if (how === "garbage") yield Buffer.from('{"type":"ADDED","obj\n');
        if (how === "half") yield Buffer.from('{"type":"ADDED"');
        if (how === "error") yield line("ERROR", { kind: "Status", code: 500, message: "broken" });
        if (how === "expired") yield line("ERROR", { kind: "Status", code: 410, message: "too old" });
        return;
      }
      if (change === undefined) {
        const stopped = new Promise<void>((resolve) =>
          signal.addEventListener("abort", () => resolve(), { once: true }),
        );
        await Promise.race([this.#nextChange.promise, stopped]);
        continue;
      }
      at = change.version;
      sent += 1;
      yield line(change.type, change.object);
    }
  }
}

type How = "close" | "reset" | "garbage" | "half" | "error" | "expired";
type Ending = "none" | { how: How; after: number };

function line(type: string, object: object): Uint8Array {
  return Buffer.from(`${JSON.stringify({ type, object })}\n`);
}

function expired(): OperatorError {
  return classifyStatus(new ApiStatusError(410, { message: "too old" }), {
    verb: "watch",
    resource: "configmaps",
  });
}

function identity({ metadata }: ConfigMap): string {
  return `${metadata.name} ${metadata.uid} ${metadata.resourceVersion}`;
}

/** The state as the events of a watch describe it. Fails for an object that replaces another without `gone`. */
function follower(server: WatchSource, limit: AbortSignal) {
  const stopping = new AbortController();
  const objects = new Map<string, ConfigMap>();
  const reported: string[] = [];
  let wake = Promise.withResolvers<boolean>();
  const ended = (async () => {
    const options = { signal: AbortSignal.any([stopping.signal, limit]), backoff: { baseMs: 0, maxMs: 0 } };
    for await (const event of watch(server, configMaps, options)) {
      reported.push(event.type === "synced" ? "synced" : `${event.type} ${event.object.metadata.name}`);
      if (event.type === "set") {
        const before = objects.get(objectKey(event.object.metadata));
        assert.ok(
          before === undefined || before.metadata.uid === event.object.metadata.uid,
          "the end of the object before was not reported",
        );
        objects.set(objectKey(event.object.metadata), event.object);
      }
      if (event.type === "gone") objects.delete(objectKey(event.object.metadata));
      wake.resolve(true);
      wake = Promise.withResolvers();
    }
    wake.resolve(false);
  })();
  return {
    reported,
    get state(): string[] {
      return [...objects.values()].map(identity).toSorted();
    },
    /** Resolves when it holds the state of the server. */
    async agreesWith(wanted: { state: string[] }) {
      while (JSON.stringify(this.state) !== JSON.stringify(wanted.state)) {
        assert.ok(await wake.promise, `it holds ${this.state.join(", ")} and not ${wanted.state.join(", ")}`);
      }
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await ended;
    },
  };
}

describe("a watch", { timeout: 20_000 }, () => {
  test("reports an object as gone before another one of its name", async (t) => {
    const server = new FakeServer();
    server.set("a");
    server.endings.push({ how: "reset", after: 0 });
    await using it = follower(server, t.signal);
    await it.agreesWith(server);
    server.remove("a");
    server.set("a");
    server.compact();
    await it.agreesWith(server);
    assert.deepEqual(
      it.reported.slice(-3).filter((text) => text !== "synced"),
      ["gone a", "set a"],
    );
  });

  for (const how of ["close", "reset", "garbage", "half", "error"] as const) {
    test(`continues from the last event after ${how}, without a new list`, async (t) => {
      const server = new FakeServer();
      server.endings.push({ how, after: 1 }, { how, after: 1 });
      await using it = follower(server, t.signal);
      for (const name of ["a", "b", "c", "d"]) server.set(name);
      await it.agreesWith(server);
      assert.equal(server.lists, 1);
      assert.deepEqual(it.reported.filter((text) => text !== "synced").toSorted(), [
        "set a",
        "set b",
        "set c",
        "set d",
      ]);
    });
  }

  for (const how of ["garbage", "error"] as const) {
    test(`starts again with a list when ${how} repeats at the same place`, async (t) => {
      const server = new FakeServer();
      for (let n = 0; n < 4; n += 1) server.endings.push({ how, after: 0 });
      await using it = follower(server, t.signal);
      await it.agreesWith(server);
      while (server.watches < 5 && !t.signal.aborted) await new Promise((resolve) => setImmediate(resolve));
      server.set("a");
      await it.agreesWith(server);
      assert.equal(server.lists, 2);
    });
  }

  test("lists again after an ERROR event of 410", async (t) => {
    const server = new FakeServer();
    server.endings.push({ how: "expired", after: 1 });
    await using it = follower(server, t.signal);
    server.set("a");
    server.set("b");
    await it.agreesWith(server);
    while (server.lists < 2 && !t.signal.aborted) await new Promise((resolve) => setImmediate(resolve));
  });

  test("ends without an error when the signal fires", async (t) => {
    const it = follower(new FakeServer(), t.signal);
    await it[Symbol.asyncDispose]();
  });
});

const how = fc.constantFrom<How>("close", "reset", "garbage", "half", "error", "expired");
const endings = fc.array(fc.record({ how, after: fc.nat({ max: 3 }) }), { maxLength: 12 });
const steps = fc.array(
  fc.record({
    do: fc.constantFrom("set", "set", "remove", "compact", "rest"),
    name: fc.constantFrom("a", "b", "c"),
  }),
  { maxLength: 40 },
);

test("after any breaks and changes it has reported the state of the server", {
  timeout: 60_000,
}, async (t) => {
  await fc.assert(
    fc.asyncProperty(endings, steps, async (broken, changes) => {
      const server = new FakeServer();
      server.endings.push(...broken);
      await using it = follower(server, t.signal);
      for (const change of changes) {
        if (change.do === "set") server.set(change.name);
        else if (change.do === "remove") server.remove(change.name);
        else if (change.do === "compact") server.compact();
        else await new Promise((resolve) => setImmediate(resolve));
      }
      await it.agreesWith(server);
    }),
    { numRuns: 200 },
  );
});
