import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { OperatorError } from "../core/errors.ts";
import { type ClusterConnection, endpointsFor } from "./etcd-connection.ts";
import { type PermissionOptions, permissionsOf } from "./permissions.ts";
import { readerOf } from "./store.fixture.ts";

const { signal } = new AbortController();
const memberSelection = { prefer: "Follower", maxLag: 1000, allowWithoutQuorum: false } as const;

function endpoints(
  etcd: Omit<ClusterConnection["spec"]["etcd"], "memberSelection">,
  permissions: PermissionOptions = {},
  namespace = "team-a",
): Promise<string[]> {
  const connection = { metadata: { namespace }, spec: { etcd: { ...etcd, memberSelection } } };
  const reader = readerOf({ ips: ["10.0.0.1", "fd00::1"] });
  return endpointsFor(connection, { reader, permissions: permissionsOf(permissions, "operator"), signal });
}

const found = ["http://10.0.0.1:2379", "http://[fd00::1]:2379"];
const at = { port: 2379, scheme: "http" } as const;
const elsewhere = {
  service: { service: { name: "etcd", namespace: "kube-system", ...at } },
  podSelector: { podSelector: { matchLabels: { a: "b" }, namespace: "kube-system", ...at } },
} as const;

describe("etcd in another namespace", () => {
  for (const [kind, etcd] of Object.entries(elsewhere)) {
    it(`is not found by a ${kind} of a namespace without the permission`, async () => {
      await assert.rejects(endpoints(etcd), (error: OperatorError) => {
        assert.equal(error.code, "InvalidConfiguration");
        assert.match(error.message, new RegExp(`spec\\.etcd\\.${kind}\\.namespace is kube-system`));
        assert.match(error.hint ?? "", /--cross-namespace-etcd-namespaces/);
        return true;
      });
    });

    it(`is found by a ${kind} of the operator's namespace and of one with the permission`, async () => {
      assert.deepEqual(await endpoints(etcd, {}, "operator"), found);
      assert.deepEqual(await endpoints(etcd, { crossNamespaceEtcd: new Set(["team-a"]) }), found);
      assert.deepEqual(await endpoints(etcd, { crossNamespaceEtcd: "all" }), found);
      await assert.rejects(endpoints(etcd, { crossNamespaceEtcd: new Set(["team-b"]) }));
    });
  }

  it("is not meant by a resource that names its own namespace", async () => {
    const service = { name: "etcd", namespace: "team-a", ...at };
    assert.deepEqual(await endpoints({ service }), found);
    assert.deepEqual(await endpoints({ service: { name: "etcd", ...at } }), found);
  });
});
