import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { type ForwardProxy, startForwardProxy } from "../../test/support/forward-proxy.ts";
import { openCluster } from "../etcd/cluster.ts";
import { connect } from "../kube/client.ts";

const names = ["http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY"];
const previous = names.map((name) => [name, process.env[name]] as const);
let proxy: ForwardProxy;

before(async () => {
  proxy = await startForwardProxy(1, 502);
  for (const name of names) process.env[name] = proxy.url;
});
after(async () => {
  for (const [name, value] of previous)
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  await proxy[Symbol.asyncDispose]();
});

it("etcd is never reached through a proxy of the environment", async () => {
  for (const endpoint of ["http://etcd.invalid:2379", "https://etcd.invalid:2379"]) {
    await using cluster = openCluster([endpoint], { timeoutMs: 500 });
    const seen = await cluster.observe(AbortSignal.timeout(5_000)).catch((error: unknown) => error);
    assert.ok(seen !== undefined);
  }
  assert.deepEqual(proxy.seen, []);
});

it("the API server is never reached through a proxy of the environment", async () => {
  await using directory = await tempDir("proxied");
  const kubeconfig = join(directory.path, "config");
  const config = {
    clusters: [{ name: "c", cluster: { server: "https://api.invalid:6443" } }],
    users: [{ name: "u", user: { token: "t" } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  };
  await writeFile(kubeconfig, JSON.stringify(config));
  await using client = await connect({ kubeconfig, env: process.env });
  const ready = {
    verb: "get",
    resource: "/readyz",
    path: "/readyz",
    method: "GET",
    repeatable: false,
  } as const;
  const signal = AbortSignal.timeout(5_000);
  await assert.rejects(client.request(ready, { signal }), { code: "Unreachable" });
  assert.deepEqual(proxy.seen, []);
});
