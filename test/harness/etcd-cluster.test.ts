import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { binary } from "./binaries.ts";
import { startEtcd } from "./etcd-cluster.ts";
import { run } from "./process.ts";

for (const minor of ["3.4", "3.5", "3.6"] as const) {
  describe(`etcd ${minor} with three members, TLS and a password`, () => {
    it("serves requests, survives the loss of its leader, and accepts the old member and a learner", async () => {
      await using cluster = await startEtcd({
        minor,
        members: 3,
        tls: true,
        auth: { username: "root", password: "a: password" },
      });
      await cluster.etcdctl(["put", "greeting"], { input: "hello" });

      const first = await cluster.leader();
      await first.kill();
      assert.notEqual((await cluster.leader()).name, first.name);
      const others = cluster.endpoints.filter((endpoint) => endpoint !== first.endpoint);
      const answer = await cluster.etcdctl(["get", "greeting", "--print-value-only"], { endpoints: others });
      assert.equal(answer, "hello\n");

      await first.start();
      const learner = await cluster.addLearner();
      const list = await cluster.etcdctl(["member", "list"]);
      assert.match(list, new RegExp(`started, ${learner.name}, .*, true`));
      assert.deepEqual(
        cluster.members.map((member) => member.name),
        ["m0", "m1", "m2", "m3"],
      );
      assert.ok(!cluster.endpoints.includes(learner.endpoint));
    });
  });
}

describe("a cluster with TLS and a password", () => {
  it("refuses clients without a certificate or without a password", async () => {
    await using cluster = await startEtcd({ tls: true, auth: { username: "root", password: "secret" } });
    const { tls, endpoints } = cluster;
    assert.ok(tls !== undefined);
    const etcdctl = await binary("etcdctl");
    const flags = [`--endpoints=${endpoints.join(",")}`, "--dial-timeout=1s", "--command-timeout=1s"];
    const withoutCertificate = await run(etcdctl, [...flags, `--cacert=${tls.caFile}`, "get", "a"]);
    assert.notEqual(withoutCertificate.code, 0);
    const certificateFlags = [`--cacert=${tls.caFile}`, `--cert=${tls.certFile}`, `--key=${tls.keyFile}`];
    const withoutPassword = await run(etcdctl, [...flags, ...certificateFlags, "get", "a"]);
    assert.match(
      withoutPassword.stderr,
      /user name is empty|authentication failed|user not found|permission denied/,
    );
  });
});

describe("a member", () => {
  it("can be started without a quorum, and becomes healthy when the quorum is there", async () => {
    await using cluster = await startEtcd({ members: 3 });
    for (const member of cluster.members) await member.kill();
    const [first, second] = cluster.members;
    assert.ok(first !== undefined && second !== undefined);
    await first.start({ wait: false });
    await second.start();
    const both = [first.endpoint, second.endpoint];
    await cluster.etcdctl(["endpoint", "health"], { endpoints: both });
    assert.match(first.logs(), /became leader|ready to serve client requests/);
  });

  it("that cannot start is reported with its log", async () => {
    await assert.rejects(startEtcd({ extraArgs: ["--no-such-flag"] }), /exit code .*no-such-flag/s);
  });
});

describe("etcdutl", () => {
  for (const minor of ["3.4", "3.6"] as const) {
    it(`reads a snapshot of etcd ${minor}`, async () => {
      await using cluster = await startEtcd({ minor });
      const [member] = cluster.members;
      assert.ok(member !== undefined);
      const file = `${member.dataDir}.snapshot`;
      await cluster.etcdctl(["snapshot", "save", file]);
      const status: unknown = JSON.parse(await cluster.etcdutl(["snapshot", "status", file, "-w", "json"]));
      assert.ok(typeof status === "object" && status !== null && "hash" in status);
    });
  }
});
