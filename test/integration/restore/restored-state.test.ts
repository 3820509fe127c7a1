import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { binary } from "../../harness/binaries.ts";
import { etcdBackupJson, s3Store } from "../../harness/etcd-backup.ts";
import { startEtcd } from "../../harness/etcd-cluster.ts";
import { run, tempDir } from "../../harness/process.ts";
import { startS3 } from "../../harness/s3-server.ts";
import { assertSameHashKV, keyValues } from "../../support/cluster-state.ts";
import { eventually } from "../../support/eventually.ts";
import { bootRestored, planMembers, restoreAll, toolFlags } from "../../support/restore.ts";
import { saveArgs } from "../../support/save-command.ts";
import { bump, putKeys, putLaterKeys } from "./source.ts";

describe("restore", { timeout: 300_000 }, () => {
  it("restores TLS, users, roles and passwords from a bucket and writes no secret to disk", async () => {
    const auth = { username: "root", password: "secret-of-root" } as const;
    await using source = await startEtcd({ members: 3, tls: true, auth });
    await source.etcdctl(["user", "add", "alice:secret-of-alice"]);
    await source.etcdctl(["role", "add", "reader"]);
    await source.etcdctl(["role", "grant-permission", "reader", "read", "/a", "/b"]);
    await source.etcdctl(["user", "grant-role", "alice", "reader"]);
    await source.etcdctl(["put", "/a", "1"]);
    await using s3 = await startS3();
    await s3.createBucket("backups");
    const { url, env } = s3Store(s3, "backups", "deep/prefix");
    const login = { ETCDCTL_USER: "root", ETCDCTL_PASSWORD: auth.password };
    const store = ["--store", url, "--cluster-name", "lab"];
    await etcdBackupJson(saveArgs(source, url), { ...env, ...login });

    await using place = await tempDir("restored");
    const plan = await planMembers(place.path, 3, { tls: true });
    const args = ["latest", ...store, ...(await toolFlags("3.6"))];
    const result = await restoreAll(place.path, plan, args, env);
    await using cluster = await bootRestored({ members: plan.members, tls: true, auth });
    await assertSameHashKV(cluster);
    assert.match(await cluster.etcdctl(["auth", "status"]), /Authentication Status: true/);
    const { caFile = "", certFile = "", keyFile = "" } = cluster.tls ?? {};
    const etcdctl = await binary("etcdctl");
    const ask = async (...args: string[]) => {
      const certificates = [`--cacert=${caFile}`, `--cert=${certFile}`, `--key=${keyFile}`];
      const { stdout, stderr } = await run(etcdctl, [
        ...["--endpoints", cluster.endpoints.join()],
        ...certificates,
        ...args,
      ]);
      return stdout + stderr;
    };
    const alice = ["--user", "alice:secret-of-alice"];
    assert.equal(await ask("get", "/a", ...alice), "/a\n1\n");
    assert.match(await ask("put", "/a", "2", ...alice), /permission denied/);
    assert.match(await ask("get", "/z", ...alice), /permission denied/);
    assert.match(await ask("get", "/a", "--user", "alice:secret-of-root"), /invalid user ID or password/);
    // The common name of the certificate is a user without a role.
    assert.match(await ask("get", "/a"), /permission denied/);

    for (const { name, dataDir } of plan.members) {
      const text = await readFile(join(dataDir, "member", "restored.json"), "utf8");
      const { restoredAt, sha256, ...marker } = JSON.parse(text) as Record<string, unknown>;
      assert.match(String(restoredAt), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      assert.match(String(sha256), /^[0-9a-f]{64}$/);
      assert.deepEqual(marker, {
        backup: result.backup,
        revision: result.revision,
        bumpRevision: bump,
        member: name,
        initialCluster: plan.initialCluster,
        token: result.token,
        tool: marker["tool"],
      });
      assert.match(String(marker["tool"]), /^etcdutl 3\.6\.\d+$/);
      assert.match(result.backup, /^s3:\/\/backups\/deep\/prefix\/lab\/\d{8}T\d{6}Z-r\d{20}-\w+$/);
      for (const secret of [s3.secretAccessKey, s3.accessKeyId, "secret-of"])
        assert.ok(!text.includes(secret) && !JSON.stringify(result).includes(secret), secret);
    }
  });

  it("restores a raised NOSPACE alarm, which can be disarmed", async () => {
    await using source = await startEtcd({ extraArgs: ["--quota-backend-bytes=3000000"] });
    const fillQuota = async () => {
      for (let i = 0; i < 20; i += 1)
        await source.etcdctl(["put", `/fill/${i}`], { input: randomBytes(300_000).toString("hex") });
    };
    await assert.rejects(fillQuota(), /database space exceeded/);
    await using place = await tempDir("restored");
    const store = ["--store", `file://${place.path}/store`, "--cluster-name", "lab"];
    await mkdir(`${place.path}/store`);
    await etcdBackupJson(saveArgs(source, `file://${place.path}/store`));
    const plan = await planMembers(place.path, 1);
    await restoreAll(place.path, plan, ["latest", ...store, ...(await toolFlags("3.6"))]);
    // The member is not healthy while the alarm is raised.
    await using cluster = await bootRestored({ members: plan.members, wait: false });
    await eventually("the member answers reads", async () => {
      const served = await cluster.etcdctl(["get", "/fill/0"]).catch(() => "");
      return served !== "";
    });
    assert.match(await cluster.etcdctl(["alarm", "list"]), /alarm:NOSPACE/);
    await assert.rejects(cluster.etcdctl(["put", "/a", "1"]), /database space exceeded/);
    await cluster.etcdctl(["alarm", "disarm"]);
    await cluster.etcdctl(["put", "/a", "1"]);
    assert.equal(await cluster.etcdctl(["alarm", "list"]), "");
  });

  it("keeps a member of the old cluster with the same peer URL out of the restored one", async () => {
    await using directory = await tempDir("restored");
    await using old = await startEtcd({ members: 3, minor: "3.5" });
    await putKeys(old);
    const store = ["--store", `file://${directory.path}/store`, "--cluster-name", "lab"];
    await mkdir(`${directory.path}/store`);
    await etcdBackupJson(saveArgs(old, `file://${directory.path}/store`));
    const expected = await keyValues(old);
    await putLaterKeys(old);
    await Promise.all(old.members.map((member) => member.kill()));
    const survivor = old.members[2];
    assert.ok(survivor !== undefined);

    const members = old.members.map(({ name, endpoint, peerUrl }) => ({
      name,
      dataDir: join(directory.path, "data", name),
      ports: { client: Number(new URL(endpoint).port), peer: Number(new URL(peerUrl).port) },
    }));
    const initialCluster = old.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",");
    await restoreAll(directory.path, { members, initialCluster }, [
      ...["latest", ...store],
      ...(await toolFlags("3.5")),
    ]);
    await using cluster = await bootRestored({ minor: "3.5", members: members.slice(0, 2) });
    const list = await cluster.etcdctl(["member", "list"]);
    await survivor.start({ wait: false });
    await eventually("the old member logs a cluster ID mismatch", async () =>
      /cluster ID mismatch/i.test(survivor.logs()),
    );
    assert.equal(await keyValues(cluster), expected);
    await cluster.etcdctl(["put", "/a", "1"]);
    await assertSameHashKV(cluster);
    assert.equal(await cluster.etcdctl(["member", "list"]), list);
    const alone = ["--command-timeout=1s", "get", "/a"];
    await assert.rejects(cluster.etcdctl(alone, { endpoints: [survivor.endpoint] }));
    await survivor.kill();

    await using third = await bootRestored({ minor: "3.5", members: members.slice(2) });
    assert.equal((await third.etcdctl(["get", "/a", "--print-value-only"])).trim(), "1");
    await assertSameHashKV({ ...cluster, endpoints: [...cluster.endpoints, ...third.endpoints] });
  });
});
