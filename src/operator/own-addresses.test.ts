import assert from "node:assert/strict";
import { createServer } from "node:net";
import { describe, it } from "node:test";
import { listen } from "../../test/support/listen.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import type { OperatorError } from "../core/errors.ts";
import { memoryApi } from "../kube/memory-api/memory-api.fixture.ts";
import { type ClusterConnection, openClusterOf } from "./etcd-connection.ts";
import { refuseOwnUrl } from "./own-addresses.ts";
import { type PermissionOptions, permissionsOf } from "./permissions.ts";
import { readerOf, recordingEndpoint, storeOf } from "./store.fixture.ts";
import { type Parts, controllerDeps } from "./wiring.ts";

const signal = AbortSignal.timeout(30_000);

describe("refuseOwnUrl", () => {
  const own = ["127.0.0.1", "127.9.9.9", "2130706433", "0x7f.1", "0.0.0.0", "169.254.169.254", "localhost"];
  for (const host of [...own, "[::1]", "[::]", "[fe80::1]", "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]"])
    it(`refuses ${host}`, async () => {
      await assert.rejects(refuseOwnUrl(`http://${host}:2379`, signal), (error: OperatorError) => {
        assert.equal(error.code, "InvalidConfiguration");
        assert.match(error.hint ?? "", /--loopback-namespaces/);
        return true;
      });
    });

  for (const host of [
    "10.0.0.1",
    "192.168.1.1",
    "128.0.0.1",
    "169.253.1.1",
    "[fd00::1]",
    "[2001:db8::1]",
    "x.invalid",
  ])
    it(`lets ${host} pass`, () => refuseOwnUrl(`https://${host}:2379`, signal));
});

/** The adapters that the operator's wiring gives to its controllers. */
function adapters(permissions: PermissionOptions = {}) {
  const unused = (): never => assert.fail("not used");
  const parts = {
    client: memoryApi().client,
    fence: { check() {}, signal },
    permissions: permissionsOf({ ambientCredentials: "all", ...permissions }, "operator"),
    env: { AWS_ACCESS_KEY_ID: "KEY", AWS_SECRET_ACCESS_KEY: "x", AWS_REGION: "r-1" },
    events: { record: unused },
    metrics: {},
    admissions: {},
    wake: {},
    tool: { name: "t", version: "0" },
    image: undefined,
    now: unused,
    log: {},
  } as unknown as Parts;
  return controllerDeps(parts);
}

describe("a store at an address of the operator itself", () => {
  async function probe(store: EtcdBackupStore, permissions: PermissionOptions): Promise<void> {
    await using opened = await adapters(permissions).store.openStore(store, signal);
    await opened.probe({ signal, write: false });
  }

  for (const host of ["127.0.0.1", "localhost", "2130706433"])
    it(`is not connected to as ${host} for a namespace without the permission`, async () => {
      await using endpoint = await recordingEndpoint();
      const url = endpoint.url.replace("127.0.0.1", host);
      const permissions = { ambientEndpoints: [url] };
      await assert.rejects(probe(storeOf({ endpoint: url }), permissions), (error: OperatorError) => {
        assert.equal(error.code, "InvalidConfiguration");
        assert.match(error.hint ?? "", /--loopback-namespaces/);
        return true;
      });
      assert.deepEqual(endpoint.signers, []);
      await probe(storeOf({ endpoint: url }), { ...permissions, loopback: new Set(["team-a"]) });
      assert.ok(endpoint.signers.length > 0);
    });
});

describe("etcd at an address of the operator itself", () => {
  it("is not connected to for a namespace without the permission", async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections += 1;
      socket.destroy();
    });
    const port = await listen(server);
    await using _ = {
      async [Symbol.asyncDispose]() {
        server.close();
      },
    };
    const endpoints = [`http://127.0.0.1:${port}`];
    const etcd: ClusterConnection["spec"]["etcd"] = {
      endpoints,
      memberSelection: { prefer: "Any", maxLag: 1, allowWithoutQuorum: false },
    };
    const observe = async (permissions: PermissionOptions) => {
      const connection = { metadata: { namespace: "team-a" }, spec: { etcd } };
      const options = { reader: readerOf({}), permissions: permissionsOf(permissions, "operator"), signal };
      await using cluster = await openClusterOf(connection, options);
      const limits = { signal, timeoutMs: 1_000.5 };
      const refused = { code: permissions.loopback === "all" ? "Unreachable" : "InvalidConfiguration" };
      await assert.rejects(cluster.hashKV(endpoints[0] ?? "", 0, limits), refused);
      return await cluster.observe(signal).catch((error: OperatorError) => error);
    };
    assert.match(JSON.stringify(await observe({})), /loopback or link-local address/);
    assert.equal(connections, 0);
    await observe({ loopback: "all" });
    assert.ok(connections > 0);
  });
});
