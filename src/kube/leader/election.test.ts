import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { OperatorError } from "../../core/errors.ts";
import type { KubeClient } from "../client.ts";
import { type ElectionOptions, type Term, elected } from "./election.ts";
import { ApiStatusError } from "../errors.ts";
import type { Lease } from "./lease.ts";
import { noLog } from "../../core/log.ts";
import type { KubeObject } from "../objects.ts";

type LeaseClient = Pick<KubeClient, "get" | "create" | "replace">;

/** One Lease with the API server's optimistic lock. `before` and `after` are the network's delays and failures. */
function leaseServer() {
  let stored: Lease | undefined;
  let version = 0;
  const refuse = (status: number, reason: string) =>
    new OperatorError("Conflict", reason, { cause: new ApiStatusError(status, { reason }) });
  const put = (lease: Lease): Lease => {
    version += 1;
    stored = { ...lease, metadata: { ...lease.metadata, uid: "u", resourceVersion: String(version) } };
    return stored;
  };
  const client = (
    before: (signal: AbortSignal) => Promise<void> = async () => {},
    after: (signal: AbortSignal) => Promise<void> = async () => {},
  ): LeaseClient => {
    const call = async <T>(signal: AbortSignal, act: () => unknown): Promise<T> => {
      signal.throwIfAborted();
      await before(signal);
      const result = act();
      await after(signal);
      return result as T;
    };
    return {
      get: (_kind, _ref, { signal }) => call(signal, () => stored),
      create: (_kind, draft, { signal }) =>
        call(signal, () => {
          if (stored !== undefined) throw refuse(409, "AlreadyExists");
          return put(draft as unknown as Lease);
        }),
      replace: <T extends KubeObject>(_kind: unknown, object: T, { signal }: { signal: AbortSignal }) =>
        call<T>(signal, () => {
          if (stored === undefined) throw refuse(404, "NotFound");
          if (object.metadata.resourceVersion !== stored.metadata.resourceVersion)
            throw refuse(409, "Conflict");
          return put(object);
        }),
    };
  };
  return {
    client,
    holder: () => stored?.spec?.holderIdentity,
    /** A write by another process. */
    write: (spec: Lease["spec"]) => put({ ...(stored as Lease), spec: { ...stored?.spec, ...spec } }),
    remove() {
      stored = undefined;
    },
  };
}

const options = (identity: string, durationMs: number): ElectionOptions => ({
  namespace: "ns",
  name: "lease",
  identity,
  durationMs,
  log: noLog,
  now: () => new Date(),
  clock: performance,
});

const closed = (term: Term) =>
  new Promise<void>((resolve) =>
    term.fence.signal.addEventListener("abort", () => resolve(), { once: true }),
  );

test("one process leads at a time; after its term the next begins without waiting for the Lease to expire", async () => {
  const server = leaseServer();
  const { signal } = new AbortController();
  const a = await elected(server.client(), { ...options("a", 600_000), signal });
  assert.equal(server.holder(), "a");
  await a[Symbol.asyncDispose]();
  assert.equal(server.holder(), "");
  assert.throws(() => a.fence.check(), { code: "Aborted" });
  const b = await elected(server.client(), { ...options("b", 600_000), signal });
  assert.equal(server.holder(), "b");
  await b[Symbol.asyncDispose]();
});

test("waiting ends with the signal's reason", async () => {
  const server = leaseServer();
  await using _ = await elected(server.client(), {
    ...options("a", 600_000),
    signal: new AbortController().signal,
  });
  const stop = new AbortController();
  const waiting = elected(server.client(), { ...options("b", 3_000), signal: stop.signal });
  stop.abort(new OperatorError("Aborted", "asked to stop"));
  await assert.rejects(waiting, (error: Error) => /asked to stop|aborted/.test(error.message));
});

test("a leader that finds another holder on the Lease stops, and does not release that holder's Lease", async () => {
  const server = leaseServer();
  const a = await elected(server.client(), { ...options("a", 600), signal: new AbortController().signal });
  server.write({ holderIdentity: "intruder" });
  await closed(a);
  assert.match(a.fence.closedWhy ?? "", /taken over by intruder/);
  await a[Symbol.asyncDispose]();
  assert.equal(server.holder(), "intruder");
});

test("a Lease deleted by hand is created again by its holder, which stays the leader", async () => {
  const server = leaseServer();
  await using a = await elected(server.client(), {
    ...options("a", 600),
    signal: new AbortController().signal,
  });
  server.remove();
  while (server.holder() === undefined) await delay(5);
  assert.equal(server.holder(), "a");
  a.fence.check();
});

test("a leader cut off from the API server stops by itself", async () => {
  const server = leaseServer();
  let cut = false;
  const hang = async (signal: AbortSignal) => {
    if (cut) await delay(1e6, undefined, { signal });
  };
  const a = await elected(server.client(hang), {
    ...options("a", 300),
    signal: new AbortController().signal,
  });
  cut = true;
  await closed(a);
  assert.match(a.fence.closedWhy ?? "", /could not be renewed/);
  await a[Symbol.asyncDispose]();
  assert.equal(server.holder(), "a", "it could not release the Lease");
});

test("after a lost answer a process that has written its identity finds it on the Lease and leads", async () => {
  const server = leaseServer();
  let lose = 1;
  const lost = async () => {
    if (lose-- > 0) throw new OperatorError("Unreachable", "the connection broke");
  };
  const client = server.client(undefined, async () => {
    if (server.holder() === "a") await lost();
  });
  await using a = await elected(client, { ...options("a", 600), signal: new AbortController().signal });
  a.fence.check();
  assert.equal(server.holder(), "a");
});

test("two processes never lead at once, with any network failures and wall clocks", async () => {
  const server = leaseServer();
  const open = new Set<Term>();
  const led = new Map<string, number>();
  let most = 0;
  const countLeaders = () => {
    const now = [...open].filter(({ fence }) => {
      try {
        fence.check();
        return true;
      } catch {
        return false;
      }
    }).length;
    most = Math.max(most, now);
  };
  const stop = new AbortController();
  const network = (down: () => boolean) => async (signal: AbortSignal) => {
    if (down()) await delay(1e6, undefined, { signal });
    if (Math.random() < 0.1) throw new OperatorError("Unreachable", "the connection broke");
    await delay(Math.random() * 15, undefined, { signal });
  };
  const contend = async (identity: string) => {
    let down = false;
    while (!stop.signal.aborted) {
      // A Lease counts in whole seconds.
      const client = server.client(
        network(() => down),
        network(() => down),
      );
      const now = () => new Date(Date.now() + (Math.random() - 0.5) * 1e9);
      await using term = await elected(client, { ...options(identity, 1_000), now, signal: stop.signal });
      led.set(identity, (led.get(identity) ?? 0) + 1);
      open.add(term);
      const outcome = Math.random();
      down = outcome < 0.4;
      if (down) await closed(term);
      else if (outcome < 0.6) await delay(Math.random() * 1_200);
      countLeaders();
      open.delete(term);
      down = false;
    }
  };
  const contending = Promise.allSettled(["a", "b", "c"].map(contend));
  const watching = setInterval(countLeaders, 1);
  while ([...led.values()].reduce((sum, n) => sum + n, 0) < 12) await delay(20);
  stop.abort();
  await contending;
  clearInterval(watching);
  assert.equal(most, 1);
});
