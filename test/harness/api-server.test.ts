import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type ApiServer, startApiServer } from "./api-server.ts";

describe("the API server", () => {
  let server: ApiServer;
  before(async () => {
    server = await startApiServer();
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
  });

  it("serves its administrator", async () => {
    assert.match(await server.kubectl(["get", "namespaces"]), /kube-system +Active/);
  });

  it("has the version that is pinned", async () => {
    const { serverVersion }: { serverVersion: { gitVersion: string } } = JSON.parse(
      await server.kubectl(["version", "-o", "json"]),
    );
    assert.match(serverVersion.gitVersion, /^v1\.34\.\d+$/);
  });

  it("grants a user only the RBAC rights of its name and groups", async () => {
    const kubeconfig = await server.userKubeconfig("joe", ["readers"]);
    const list = ["get", "secrets", "-n", "kube-system"];
    await assert.rejects(server.kubectl(list, { kubeconfig }), /User "joe" cannot list resource "secrets"/);
    await server.kubectl(["create", "clusterrole", "reader", "--verb=list,get", "--resource=secrets"]);
    await server.kubectl(["create", "clusterrolebinding", "r", "--clusterrole=reader", "--group=readers"]);
    await server.kubectl(["auth", "can-i", "list", "secrets"], { kubeconfig });
    await server.kubectl(list, { kubeconfig });
  });

  it("accepts pods without a service account controller or a node", async () => {
    const spec = { containers: [{ name: "c", image: "i" }] };
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "p" }, spec };
    await server.kubectl(["create", "-f", "-"], { input: JSON.stringify(pod) });
    assert.match(await server.kubectl(["get", "pods"]), /p +0\/1 +Pending/);
  });

  it("serves the project's resources, also after a restart", async () => {
    await server.applyCrds();
    await server.restart();
    assert.match(await server.kubectl(["api-resources", "--api-group=etcdbackup.dev"]), /etcdbackups /);
    assert.match(await server.kubectl(["get", "etcdbackups", "-A", "-o", "name"]), /^$/);
  });
});
