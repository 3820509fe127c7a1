import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { connect, type KubeClient } from "../../../src/kube/client.ts";
import { applied } from "../../../src/kube/contract/objects.fixture.ts";
import { configMaps, type ObjectRef } from "../../../src/kube/objects.ts";
import { readSecret } from "../../../src/kube/secrets.ts";
import { within } from "../../support/eventually.ts";
import { serverTable } from "../../support/server-table.ts";
import { startApiServer } from "../../harness/api-server.ts";
import { tempDir } from "../../harness/process.ts";
import { startBreakingProxy } from "../../support/kube-breaking-proxy.ts";
import { defineWidgets, widgets } from "../../support/kube-widgets.ts";

const owned = new AsyncDisposableStack();
after(() => owned.disposeAsync());
const server = owned.use(await startApiServer());
await defineWidgets(server);
const client = owned.use(await connect({ kubeconfig: server.kubeconfigPath }));
const namespace = "default";
const { signal } = new AbortController();
const never = { signal };

const widget = (name: string, size = 1) => ({ metadata: { namespace, name }, spec: { size } });

describe("an object", () => {
  test("is created, read, listed and removed", async () => {
    const ref = { namespace, name: "life" };
    assert.equal(await client.get(configMaps, ref, never), undefined);
    const created = await client.create(
      configMaps,
      { metadata: { ...ref, labels: { test: "life" } }, data: { a: "1" } },
      never,
    );
    assert.ok(created.metadata.uid);
    assert.deepEqual((await client.get(configMaps, ref, never))?.data, { a: "1" });
    const { items } = await client.list(configMaps, { labelSelector: "test=life", ...never });
    assert.deepEqual(
      items.map(({ apiVersion, kind, metadata, data }) => [apiVersion, kind, metadata.name, data]),
      [["v1", "ConfigMap", "life", { a: "1" }]],
    );
    await client.remove(configMaps, ref, never);
    assert.equal(await client.get(configMaps, ref, never), undefined);
    await client.remove(configMaps, ref, never);
  });

  test("that is there already is not created again", async () => {
    await client.create(widgets, widget("twice"), never);
    await assert.rejects(client.create(widgets, widget("twice"), never), { code: "AlreadyExists" });
  });

  test("that the schema refuses is an error with the server's message", async () => {
    await assert.rejects(client.create(widgets, widget("large", 11), never), {
      code: "InvalidConfiguration",
      permanent: true,
      message: /create widgets\.test\.etcdbackup\.dev default\/large: .*spec\.size.*less than or equal to 10/,
    });
  });

  test("is created or updated by apply", async () => {
    await applied(client, widgets, widget("applied", 1), never);
    const second = await applied(client, widgets, widget("applied", 2), never);
    assert.equal(second.spec.size, 2);
    assert.equal(second.metadata.generation, 2);
  });

  test("is not removed when the object of that name has another UID", async () => {
    await client.create(widgets, widget("other"), never);
    await assert.rejects(
      client.remove(widgets, { namespace, name: "other" }, { uid: "not-its-uid", ...never }),
      {
        code: "Conflict",
      },
    );
    assert.ok(await client.get(widgets, { namespace, name: "other" }, never));
  });
});

describe("status", () => {
  const ready = { type: "Ready", status: "True", reason: "Fine" };

  test("is applied as a whole: fields that are left out are removed, and conditions of other managers stay", async () => {
    const ref = { namespace, name: "status" };
    const { metadata } = await client.create(widgets, widget("status"), never);
    const { uid } = metadata;
    await client.applyStatus(
      widgets,
      ref,
      { uid, status: { size: 5, phase: "Working", conditions: [ready] } },
      never,
    );
    const foreign = { type: "Checked", status: "True", reason: "ByHand" };
    await server.kubectl([
      "patch",
      "widget",
      "status",
      "--subresource=status",
      "--type=json",
      "-p",
      JSON.stringify([{ op: "add", path: "/status/conditions/-", value: foreign }]),
    ]);
    const again = await client.applyStatus(
      widgets,
      ref,
      { uid, status: { phase: "Done", conditions: [ready] } },
      never,
    );
    assert.deepEqual(again.status, { phase: "Done", conditions: [ready, foreign] });
    assert.equal(again.metadata.generation, metadata.generation, "the spec was not changed");
  });

  test("overwrites what another manager wrote", async () => {
    const ref = { namespace, name: "taken" };
    await client.create(widgets, widget("taken"), never);
    await server.kubectl([
      "patch",
      "widget",
      "taken",
      "--subresource=status",
      "--type=merge",
      "-p",
      '{"status":{"phase":"ByHand"}}',
    ]);
    const applied = await client.applyStatus(widgets, ref, { status: { phase: "Applied" } }, never);
    assert.equal(applied.status.phase, "Applied");
  });

  test("of an object that was replaced by another one of the same name is a conflict", async () => {
    const ref = { namespace, name: "replaced" };
    const { metadata } = await client.create(widgets, widget("replaced"), never);
    await client.remove(widgets, ref, never);
    await client.create(widgets, widget("replaced"), never);
    await assert.rejects(
      client.applyStatus(widgets, ref, { uid: metadata.uid, status: { phase: "Old" } }, never),
      {
        code: "Conflict",
        permanent: false,
      },
    );
    assert.equal((await client.get(widgets, ref, never))?.status, undefined);
  });

  test("is applied although the object is changed at the same time", async () => {
    const ref = { namespace, name: "busy" };
    const { uid } = (await client.create(widgets, widget("busy"), never)).metadata;
    const both = [1, 2, 3].flatMap((n) => [
      client.patchMetadata(widgets, ref, { annotations: { n: String(n) } }, never),
      client.applyStatus(widgets, ref, { uid, status: { size: n } }, never),
    ]);
    await Promise.all(both);
    assert.ok((await client.get(widgets, ref, never))?.status.size);
  });

  test("of a missing object is NotFound and creates none", async () => {
    const ref = { namespace, name: "missing" };
    await assert.rejects(client.applyStatus(widgets, ref, { uid: "u", status: { phase: "?" } }, never), {
      code: "NotFound",
    });
    assert.equal(await client.get(widgets, ref, never), undefined);
  });
});

describe("metadata", () => {
  test("is changed only at the resourceVersion that was read", async () => {
    const ref = { namespace, name: "meta" };
    const { metadata } = await client.create(widgets, widget("meta"), never);
    const { resourceVersion } = metadata;
    const finalizers = ["etcdbackup.dev/test"];
    const patched = await client.patchMetadata(
      widgets,
      ref,
      { resourceVersion, finalizers, annotations: { a: "1", b: "2" } },
      never,
    );
    assert.deepEqual(patched.metadata.finalizers, finalizers);
    await assert.rejects(client.patchMetadata(widgets, ref, { resourceVersion, finalizers: [] }, never), {
      code: "Conflict",
      permanent: false,
    });
    const without = await client.patchMetadata(
      widgets,
      ref,
      { finalizers: [], annotations: { a: null } },
      never,
    );
    assert.deepEqual([without.metadata.finalizers, without.metadata.annotations], [undefined, { b: "2" }]);
  });
});

describe("a list", () => {
  test("of more objects than a page holds is complete and has each object once", async () => {
    const total = 620;
    const names = Array.from({ length: total }, (_, i) => `page-${i}`);
    const items = names.map((name) => ({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, namespace, labels: { test: "pages" } },
    }));
    await server.kubectl(["create", "-f", "-"], {
      input: JSON.stringify({ apiVersion: "v1", kind: "List", items }),
    });
    await using proxy = await startBreakingProxy(server.kubeconfigPath);
    await using through = await connect({ kubeconfig: proxy.kubeconfigPath });
    const listed = await through.list(configMaps, { labelSelector: "test=pages", ...never });
    assert.deepEqual(listed.items.map((item) => item.metadata.name).toSorted(), names.toSorted());
    assert.equal(proxy.requests.length, 2);
    const small = await through.list(configMaps, { labelSelector: "test=pages", limit: 100, ...never });
    assert.equal(new Set(small.items.map((item) => item.metadata.uid)).size, total);
    assert.equal(proxy.requests.length, 2 + 7);
  });

  test("whose continue token expires is read again in one request", async () => {
    await using proxy = await startBreakingProxy(server.kubeconfigPath);
    await using through = await connect({ kubeconfig: proxy.kubeconfigPath });
    proxy.refuse = (request) => (request.includes("continue=") ? { status: 410 } : undefined);
    const { items } = await through.list(configMaps, { namespace, limit: 10, ...never });
    assert.ok(items.length > 600);
  });
});

describe("refusals", () => {
  test("without permission name the verb and the resource", async () => {
    await using guest = await connect({ kubeconfig: await server.userKubeconfig("guest") });
    await assert.rejects(guest.list(widgets, { namespace, ...never }), {
      code: "Unauthorized",
      message: /list widgets\.test\.etcdbackup\.dev in namespace default: not allowed.*User "guest"/,
      hint: "grant the verb list on widgets.test.etcdbackup.dev to the user or service account",
    });
  });

  test("of a kind that the server does not know are errors, not an absent object", async () => {
    const unknown = { ...widgets, plural: "gadgets", kind: "Gadget" };
    for (const attempt of [
      () => client.get(unknown, { namespace, name: "x" }, never),
      () => client.list(unknown, never),
    ]) {
      await assert.rejects(attempt(), {
        code: "NotFound",
        permanent: false,
        message: /gadgets\.test\.etcdbackup\.dev/,
      });
    }
  });

  test("of expired credentials end when the kubeconfig is renewed", async () => {
    await using directory = await tempDir("kubeconfig");
    const path = join(directory.path, "config");
    const good = JSON.parse(await readFile(server.kubeconfigPath, "utf8"));
    await writeFile(
      path,
      JSON.stringify({ ...good, users: [{ name: "admin", user: { token: "expired" } }] }),
    );
    await using late = await connect({ kubeconfig: path });
    await assert.rejects(late.get(configMaps, { namespace, name: "x" }, never), { code: "Unauthorized" });
    await writeFile(path, JSON.stringify(good));
    assert.equal(await late.get(configMaps, { namespace, name: "x" }, never), undefined);
  });
});

/** A client behind a proxy that injects faults. */
async function broken(): Promise<
  { client: KubeClient; proxy: Awaited<ReturnType<typeof startBreakingProxy>> } & AsyncDisposable
> {
  await using stack = new AsyncDisposableStack();
  const proxy = stack.use(await startBreakingProxy(server.kubeconfigPath));
  const through = stack.use(await connect({ kubeconfig: proxy.kubeconfigPath }));
  const moved = stack.move();
  return { client: through, proxy, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

const ref: ObjectRef = { namespace, name: "kube-root" };

describe("a failing server", () => {
  for (const status of [429, 500, 503]) {
    test(`that answers ${status} twice is asked a third time`, async () => {
      await using it = await broken();
      let left = 2;
      it.proxy.refuse = () => (left-- > 0 ? { status, headers: { "retry-after": "0" } } : undefined);
      assert.equal(await it.client.get(configMaps, ref, never), undefined);
      assert.equal(it.proxy.requests.length, 3);
    });
  }

  test("that answers 500 to a create is not asked again, since the object may have been created", async () => {
    await using it = await broken();
    it.proxy.refuse = () => ({ status: 500 });
    await assert.rejects(it.client.create(widgets, widget("once"), never), { code: "Unreachable" });
    assert.equal(it.proxy.requests.length, 1);
  });

  test("that refuses connections is Unreachable, with its address", async () => {
    await using it = await broken();
    const url = it.client.server;
    await it.proxy[Symbol.asyncDispose]();
    await assert.rejects(it.client.get(configMaps, ref, never), {
      code: "Unreachable",
      message: `get configmaps default/kube-root at ${url}: connection refused`,
    });
  });

  test("whose certificate is not trusted is Unreachable", async () => {
    await using directory = await tempDir("kubeconfig");
    const path = join(directory.path, "config");
    const config = JSON.parse(await readFile(server.kubeconfigPath, "utf8"));
    delete config.clusters[0].cluster["certificate-authority-data"];
    await writeFile(path, JSON.stringify(config));
    await using untrusting = await connect({ kubeconfig: path });
    await assert.rejects(untrusting.get(configMaps, ref, never), {
      code: "Unreachable",
      message: /TLS failed/,
    });
  });

  test("that does not answer is given up when the signal is aborted", async () => {
    await using it = await broken();
    const held = it.proxy.freeze();
    const stopping = new AbortController();
    const asked = it.client.get(configMaps, ref, { signal: stopping.signal });
    await within("the request reaches the proxy", held, 30);
    stopping.abort();
    await assert.rejects(asked, { name: "AbortError" });
  });
});

test("a Secret is read decoded, and the error of a missing one names it", async () => {
  await server.kubectl([
    "create",
    "secret",
    "generic",
    "login",
    "--from-literal=username=root",
    "--from-literal=password=s3cret",
  ]);
  const secret = await readSecret(client, namespace, "login", never);
  assert.deepEqual(secret, { username: Buffer.from("root"), password: Buffer.from("s3cret") });
  await assert.rejects(readSecret(client, namespace, "nobody", never), {
    code: "CredentialsNotFound",
    message: "Secret default/nobody does not exist",
  });
});

test("the printed table has the columns of the definition", async () => {
  await client.create(
    widgets,
    { ...widget("printed", 7), metadata: { namespace, name: "printed", labels: { test: "table" } } },
    never,
  );
  const { columns, rows } = await serverTable(client, widgets, {
    namespace,
    labelSelector: "test=table",
    ...never,
  });
  assert.deepEqual(
    columns.map(({ name, priority }) => `${name} ${priority}`),
    ["Name 0", "Size 0", "Phase 1"],
  );
  assert.deepEqual(rows, [{ Name: "printed", Size: "7", Phase: "" }]);
});

test("one connection serves consecutive calls", async () => {
  await using it = await broken();
  for (let n = 0; n < 20; n += 1) await it.client.get(configMaps, ref, never);
  assert.equal(it.proxy.connections, 1);
});
