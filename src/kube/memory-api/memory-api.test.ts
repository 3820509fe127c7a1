import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { clientContract } from "../contract/client.contract.ts";
import {
  backupKind,
  call,
  condition,
  minimalBackup,
  minimalStore,
  podKind,
  storeKind,
} from "../contract/objects.fixture.ts";
import { clientOver } from "../client.ts";
import { memoryApi, noRoute } from "./memory-api.fixture.ts";
import { podSummaries, workload } from "../workloads.ts";
import { watch } from "../watch/watch.ts";

clientContract("an API server in memory", async () => {
  const api = memoryApi();
  let namespaces = 0;
  return {
    client: api.client,
    async namespace() {
      namespaces += 1;
      return `contract-${namespaces}`;
    },
    async [Symbol.asyncDispose]() {},
  };
});

const ref = { namespace: "ns", name: "a" };
const unreachable = { name: "OperatorError", code: "Unreachable", message: /no route to the host/ };

describe("a hook of the API server in memory", () => {
  it("before a request breaks the connection, and the request has no effect", async () => {
    const api = memoryApi();
    api.beforeRequest = () => {
      throw noRoute();
    };
    await assert.rejects(api.client.create(backupKind, minimalBackup(ref), call), unreachable);
    assert.equal(api.object(backupKind, ref), undefined);
    assert.equal(api.requests.length, 1, "the client does not repeat the call");
  });

  it("after a request takes the answer, and the request has its effect", async () => {
    const api = memoryApi();
    const { metadata } = await api.client.create(backupKind, minimalBackup(ref), call);
    api.afterRequest = ({ verb, resource }) => {
      if (verb === "patch" && resource === "etcdbackups.etcdbackup.dev/status") throw noRoute();
    };
    const status = { observedGeneration: 1, attempts: 1 };
    const { uid } = metadata;
    await assert.rejects(api.client.applyStatus(backupKind, ref, { uid, status }, call), unreachable);
    assert.deepEqual(api.object(backupKind, ref)?.status, status);
  });

  it("that waits holds the request, until the client's signal fires", async () => {
    const api = memoryApi();
    const stopping = new AbortController();
    const reached = Promise.withResolvers<void>();
    api.beforeRequest = () => {
      reached.resolve();
      return new Promise(() => {});
    };
    const created = api.client.create(backupKind, minimalBackup(ref), { signal: stopping.signal });
    await reached.promise;
    stopping.abort();
    await assert.rejects(created, { name: "AbortError" });
    assert.equal(api.object(backupKind, ref), undefined);
  });
});

describe("the API server in memory", () => {
  it("lists the requests of all clients in the words of RBAC", async () => {
    const api = memoryApi();
    const other = clientOver(api.connection);
    const { metadata } = await api.client.create(backupKind, minimalBackup(ref), call);
    const { uid } = metadata;
    await other.applyStatus(backupKind, ref, { uid, status: { observedGeneration: 1 } }, call);
    await api.client.patchMetadata(backupKind, ref, { finalizers: [] }, call);
    await other.list(storeKind, { namespace: "ns", ...call });
    await other.list(storeKind, call);
    await api.client.remove(backupKind, ref, call);
    assert.deepEqual(
      api.requests.map(({ verb, resource, key }) => `${verb} ${resource} ${key}`),
      [
        "create etcdbackups.etcdbackup.dev ns/a",
        "get etcdbackups.etcdbackup.dev ns/a",
        "patch etcdbackups.etcdbackup.dev/status ns/a",
        "patch etcdbackups.etcdbackup.dev ns/a",
        "list etcdbackupstores.etcdbackup.dev ns",
        "list etcdbackupstores.etcdbackup.dev ",
        "delete etcdbackups.etcdbackup.dev ns/a",
      ],
    );
  });

  it("takes the time from the clock that it is given", async () => {
    const api = memoryApi();
    api.now = () => new Date("2026-08-20T12:00:00.750Z");
    const metadata = { finalizers: ["etcdbackup.dev/test"] };
    const created = await api.client.create(backupKind, minimalBackup(ref, metadata), call);
    assert.equal(created.metadata.creationTimestamp, "2026-08-20T12:00:00Z");
    api.now = () => new Date("2026-08-20T13:00:00Z");
    await api.client.remove(backupKind, ref, call);
    assert.equal(api.object(backupKind, ref)?.metadata.deletionTimestamp, "2026-08-20T13:00:00Z");
  });

  it("throws Internal for what it does not imitate", async () => {
    const api = memoryApi();
    const removed = api.client.remove(backupKind, ref, { propagation: "Foreground", ...call });
    await assert.rejects(removed, { code: "Internal", message: /does not imitate a propagation policy/ });
  });
});

describe("the history of the API server in memory", () => {
  it("forgets old changes: a watch from before them begins anew with a list", async ({ signal }) => {
    const api = memoryApi();
    const stopping = new AbortController();
    const options = { signal: AbortSignal.any([stopping.signal, signal]) };
    const reported: string[] = [];
    for await (const event of watch(api.client, storeKind, options)) {
      reported.push(event.type === "synced" ? "synced" : `${event.type} ${event.object.metadata.name}`);
      if (reported.length === 1) {
        for (let n = 0; n < 2_500; n += 1) {
          api.create(storeKind, minimalStore({ namespace: "ns", name: "a" }));
          api.remove(storeKind, ref);
        }
        api.create(storeKind, minimalStore({ namespace: "ns", name: "last" }));
      }
      if (reported.includes("set last")) break;
    }
    stopping.abort();
    assert.deepEqual(reported, ["synced", "set last"]);
    assert.deepEqual(
      api.requests.map(({ verb }) => verb),
      ["list", "watch", "list"],
    );
  });
});

describe("a user of the API server in memory", () => {
  it("changes a spec, which gets the next generation, and metadata, which does not", async () => {
    const api = memoryApi();
    const { metadata } = await api.client.create(backupKind, minimalBackup(ref), call);
    const labelled = api.change(backupKind, ref, (backup) => {
      backup.metadata.labels = { a: "1" };
    });
    assert.equal(labelled.metadata.generation, 1);
    const changed = api.change(backupKind, ref, (backup) => {
      backup.spec.deletionPolicy = "Delete";
    });
    assert.equal(changed.metadata.generation, 2);
    assert.deepEqual(changed, await api.client.get(backupKind, ref, call));
    assert.equal(changed.metadata.uid, metadata.uid);
    assert.equal(api.requests.length, 2, "a user's writes are not among the requests");
  });

  it("is refused what the schema forbids", () => {
    const api = memoryApi();
    api.create(backupKind, minimalBackup(ref));
    const change = () =>
      api.change(backupKind, ref, (backup) => {
        backup.spec.backoffLimit = 11;
      });
    assert.throws(change, { name: "Refusal", status: 422 });
  });

  it("removes an object, which waits for its finalizers, and takes the finalizers away", () => {
    const api = memoryApi();
    api.create(backupKind, minimalBackup(ref, { finalizers: ["etcdbackup.dev/test"] }));
    api.remove(backupKind, ref);
    assert.notEqual(api.object(backupKind, ref)?.metadata.deletionTimestamp, undefined);
    api.change(backupKind, ref, ({ metadata }) => {
      delete metadata.finalizers;
    });
    assert.deepEqual(api.objects(backupKind), []);
  });
});

describe("a controller beside the operator", () => {
  it("writes the status of its own kinds", async () => {
    const api = memoryApi();
    const namespace = "ns";
    const pod = {
      metadata: { namespace, name: "a", labels: { "job-name": "a" } },
      status: { phase: "Failed", reason: "Evicted" },
    };
    api.create(podKind, pod);
    const [seen] = await podSummaries(api.client, { namespace, labels: { "job-name": "a" } }, call);
    assert.equal(seen?.failure?.words, "Evicted");
    api.create(workload("Job"), { metadata: ref });
    api.change(workload("Job"), ref, (job) => {
      job.status = { succeeded: 1 };
    });
    assert.equal((await api.client.get(workload("Job"), ref, call))?.status?.succeeded, 1);
  });

  it("writes to a status of the operator, which the operator's next apply sets back", async () => {
    const api = memoryApi();
    const { uid } = (await api.client.create(backupKind, minimalBackup(ref), call)).metadata;
    const status = { observedGeneration: 1, conditions: [condition("Ready", "Pending")] };
    await api.client.applyStatus(backupKind, ref, { uid, status }, call);
    api.change(backupKind, ref, (backup) => {
      backup.status.conditions = [condition("Ready", "ByHand")];
    });
    const written = await api.client.applyStatus(backupKind, ref, { uid, status }, call);
    assert.deepEqual(written.status, status);
  });
});
