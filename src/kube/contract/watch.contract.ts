import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import { type Api, backupKind, call, minimalBackup } from "./objects.fixture.ts";
import type { KubeClient } from "../client.ts";
import { decodeLine, lines } from "../watch/stream.ts";
import { type WatchEvent, type WatchSource, watch } from "../watch/watch.ts";

/** What a watch has reported, as text: `set a 1`, `gone a`, `synced`. The number is `status.attempts`. */
interface Reports extends AsyncDisposable {
  readonly lines: string[];
  /** Resolves when `line` has been reported after what was awaited before. */
  until(line: string): Promise<void>;
}

interface Scope {
  namespace: string;
  labelSelector?: string;
}

function follow(source: WatchSource, scope: Scope, limit: AbortSignal): Reports {
  const stopping = new AbortController();
  const signal = AbortSignal.any([stopping.signal, limit]);
  const reported: string[] = [];
  let read = 0;
  let wake = Promise.withResolvers<boolean>();
  const ended = (async () => {
    for await (const event of watch(source, backupKind, { ...scope, signal })) {
      reported.push(text(event));
      wake.resolve(true);
      wake = Promise.withResolvers();
    }
    wake.resolve(false);
  })();
  return {
    lines: reported,
    async until(line) {
      for (;;) {
        const at = reported.indexOf(line, read);
        if (at >= 0) {
          read = at + 1;
          return;
        }
        assert.ok(await wake.promise, `"${line}" was not reported; reported: ${reported.join(", ")}`);
      }
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await ended;
    },
  };
}

function text(event: WatchEvent<EtcdBackup>): string {
  if (event.type === "synced") return "synced";
  const { metadata, status } = event.object;
  if (event.type === "gone") return `gone ${metadata.name}`;
  const ending = metadata.deletionTimestamp === undefined ? "" : " deleting";
  return `set ${metadata.name} ${status.attempts ?? 0}${ending}`;
}

/** The EtcdBackups of a new namespace. */
async function backupsIn(api: Api) {
  const namespace = await api.namespace();
  const ref = (name: string) => ({ namespace, name });
  return {
    namespace,
    create: (name: string, metadata = {}) =>
      api.client.create(backupKind, minimalBackup(ref(name), metadata), call),
    attempts: (name: string, attempts: number) =>
      api.client.applyStatus(backupKind, ref(name), { status: { observedGeneration: 1, attempts } }, call),
    patch: (name: string, patch: Parameters<KubeClient["patchMetadata"]>[2]) =>
      api.client.patchMetadata(backupKind, ref(name), patch, call),
    remove: (name: string) => api.client.remove(backupKind, ref(name), call),
  };
}

export function watchRules(api: Api): void {
  describe("a watch", { timeout: 60_000 }, () => {
    it("reports what is there, then every change in its order", async ({ signal }) => {
      const backups = await backupsIn(api);
      await backups.create("a");
      await using reports = follow(api.client, backups, signal);
      await reports.until("synced");
      await backups.create("b");
      await backups.attempts("a", 1);
      await backups.attempts("b", 2);
      await backups.remove("a");
      await reports.until("gone a");
      assert.deepEqual(reports.lines, ["set a 0", "synced", "set b 0", "set a 1", "set b 2", "gone a"]);
    });

    it("reports objects as get reads them, with their defaults", async ({ signal }) => {
      const backups = await backupsIn(api);
      const stopping = new AbortController();
      const options = { namespace: backups.namespace, signal: AbortSignal.any([stopping.signal, signal]) };
      const seen: EtcdBackup[] = [];
      let created: EtcdBackup | undefined;
      for await (const event of watch(api.client, backupKind, options)) {
        if (event.type === "synced") created = await backups.create("a");
        else seen.push(event.object);
        if (seen.length > 0) break;
      }
      stopping.abort();
      assert.deepEqual(seen, [created]);
    });

    it("reports a deletion that waits for a finalizer as a change, and its end as gone", async ({
      signal,
    }) => {
      const backups = await backupsIn(api);
      await backups.create("a", { finalizers: ["etcdbackup.dev/test"] });
      await using reports = follow(api.client, backups, signal);
      await reports.until("synced");
      await backups.remove("a");
      await reports.until("set a 0 deleting");
      await backups.patch("a", { finalizers: [] });
      await reports.until("gone a");
      assert.deepEqual(reports.lines, ["set a 0", "synced", "set a 0 deleting", "gone a"]);
    });
  });
}

export function watchScopeRules(api: Api): void {
  describe("a watch that has synced", { timeout: 60_000 }, () => {
    it("reports nothing for a write that changes nothing", async ({ signal }) => {
      const backups = await backupsIn(api);
      await backups.create("a");
      await backups.attempts("a", 1);
      await using reports = follow(api.client, backups, signal);
      await reports.until("synced");
      await backups.attempts("a", 1);
      await backups.patch("a", { labels: { none: null } });
      await backups.create("b");
      await reports.until("set b 0");
      assert.deepEqual(reports.lines, ["set a 1", "synced", "set b 0"]);
    });

    it("reports that an object has gone before another takes its name", async ({ signal }) => {
      const backups = await backupsIn(api);
      await backups.create("a");
      await using reports = follow(api.client, backups, signal);
      await reports.until("synced");
      await backups.remove("a");
      await backups.create("a");
      await reports.until("set a 0");
      assert.deepEqual(reports.lines, ["set a 0", "synced", "gone a", "set a 0"]);
    });

    it("leaves out other namespaces", async ({ signal }) => {
      const [backups, other] = [await backupsIn(api), await backupsIn(api)];
      await using reports = follow(api.client, backups, signal);
      await reports.until("synced");
      await other.create("b");
      await backups.create("a");
      await reports.until("set a 0");
      assert.deepEqual(reports.lines, ["synced", "set a 0"]);
    });

    it("with a label selector reports objects as they come to match and cease to", async ({ signal }) => {
      const backups = await backupsIn(api);
      await backups.create("a", { labels: { watched: "yes" } });
      await backups.create("b");
      const scope = { namespace: backups.namespace, labelSelector: "watched=yes" };
      await using reports = follow(api.client, scope, signal);
      await reports.until("synced");
      await backups.patch("b", { labels: { watched: "yes" } });
      await backups.attempts("b", 1);
      await backups.patch("a", { labels: { watched: "no" } });
      await backups.attempts("a", 1);
      await backups.remove("b");
      await reports.until("gone b");
      assert.deepEqual(reports.lines, ["set a 0", "synced", "set b 0", "set b 1", "gone a", "gone b"]);
    });
  });
}

export function resumeRules(api: Api): void {
  it("a watch goes on from the version of a list: nothing is missed or repeated", {
    timeout: 60_000,
  }, async ({ signal }) => {
    const backups = await backupsIn(api);
    await backups.create("a");
    const source: WatchSource = {
      async list(kind, options) {
        const listed = await api.client.list(kind, options);
        await backups.attempts("a", 1);
        await backups.create("b");
        await backups.attempts("a", 2);
        return listed;
      },
      openWatch: (kind, options) => api.client.openWatch(kind, options),
    };
    await using reports = follow(source, backups, signal);
    await reports.until("set a 2");
    assert.deepEqual(reports.lines, ["set a 0", "synced", "set a 1", "set b 0", "set a 2"]);
  });

  it("a watch goes on from the version of an event that it has reported", { timeout: 60_000 }, async ({
    signal,
  }) => {
    const backups = await backupsIn(api);
    await backups.create("a");
    let opened = 0;
    const source: WatchSource = {
      list: (kind, options) => api.client.list(kind, options),
      async openWatch(kind, options) {
        opened += 1;
        const body = await api.client.openWatch(kind, options);
        return opened === 1 ? firstLine(body) : body;
      },
    };
    await using reports = follow(source, backups, signal);
    await reports.until("synced");
    await backups.attempts("a", 1);
    await reports.until("set a 1");
    await backups.attempts("a", 2);
    await reports.until("set a 2");
    assert.deepEqual(reports.lines, ["set a 0", "synced", "set a 1", "set a 2"]);
    assert.equal(opened, 2);
  });
}

export function lineRules(api: Api): void {
  it("a watch distinguishes additions from changes, each with a version of its own", {
    timeout: 60_000,
  }, async ({ signal }) => {
    const backups = await backupsIn(api);
    const stopping = new AbortController();
    const options = {
      namespace: backups.namespace,
      labelSelector: "watched=yes",
      timeoutSeconds: 60,
      signal: AbortSignal.any([stopping.signal, signal]),
    };
    const { resourceVersion } = await api.client.list(backupKind, options);
    const received = lines(await api.client.openWatch(backupKind, { ...options, resourceVersion }));
    await backups.create("a", { labels: { watched: "yes" } });
    await backups.attempts("a", 1);
    await backups.patch("a", { labels: { watched: "no" } });
    await backups.patch("a", { labels: { watched: "yes" } });
    await backups.remove("a");
    const types: string[] = [];
    const versions = new Set<string>();
    for await (const text of received) {
      const line = decodeLine(text);
      if (line.type === "BOOKMARK") continue;
      types.push(line.type);
      versions.add(line.object.metadata.resourceVersion);
      if (types.length === 5) break;
    }
    stopping.abort();
    assert.deepEqual(types, ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]);
    assert.equal(versions.size, 5);
  });
}

export function stoppedRules(api: Api): void {
  it("a watch whose signal has fired is not opened", async () => {
    const { resourceVersion } = await api.client.list(backupKind, call);
    const options = { resourceVersion, timeoutSeconds: 1, signal: AbortSignal.abort() };
    await assert.rejects(api.client.openWatch(backupKind, options), { name: "AbortError" });
  });

  it("a watch breaks off when its signal fires", async () => {
    const stopping = new AbortController();
    const { resourceVersion } = await api.client.list(backupKind, call);
    const options = { resourceVersion, timeoutSeconds: 60, signal: stopping.signal };
    const chunks = (await api.client.openWatch(backupKind, options))[Symbol.asyncIterator]();
    const next = chunks.next();
    stopping.abort();
    await assert.rejects(next, Error);
  });
}

async function* firstLine(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const line of lines(body)) {
    yield Buffer.from(`${line}\n`);
    return;
  }
}
