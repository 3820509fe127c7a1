import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { openCluster } from "../../../src/etcd/cluster.ts";
import { type EtcdMinor, binary } from "../../harness/binaries.ts";
import { UnavailableBinary } from "../../harness/unavailable-binary.ts";
import { etcdBackupPath } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { startProcess, tempDir } from "../../harness/process.ts";
import { during, exitOf } from "../../support/running-process.ts";
import { saveArgs } from "../../support/save-command.ts";
import { startSnapshotFaultProxy } from "../../support/snapshot-fault-proxy.ts";
import { assertHoldsBackups } from "../../support/store-check.ts";

async function whyUnavailable(minor: EtcdMinor): Promise<string | undefined> {
  const thrown = await binary("etcd", minor).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof UnavailableBinary) return thrown.message;
  if (thrown !== undefined) throw thrown;
  return undefined;
}

const { signal } = new AbortController();

/**
 * A save from a follower behind a proxy, whose HashKV is held until the other two members are killed. `survivorKnows`:
 * the survivor's election timeout has passed, so it names no leader any more.
 */
async function saveWhileQuorumIsLost(
  cluster: EtcdCluster,
  { directory, more, survivorKnows }: { directory: string; more: string[]; survivorKnows: boolean },
) {
  const leader = await cluster.leader();
  const [survivor, other] = cluster.members.filter((member) => member !== leader);
  assert.ok(survivor && other);
  const asked = Promise.withResolvers<void>();
  const lost = Promise.withResolvers<void>();
  await using proxy = await startSnapshotFaultProxy(survivor.endpoint, {
    beforeHash: () => {
      asked.resolve();
      return lost.promise;
    },
  });
  const endpoints = [proxy.endpoint, leader.endpoint, other.endpoint];
  const args = saveArgs(cluster, `file://${directory}`, { endpoints });
  await using run = startProcess(etcdBackupPath, [...args, "--member", survivor.name, "-o", "json", ...more]);
  await during(run, asked.promise);
  await Promise.all([leader.kill(), other.kill()]);
  if (survivorKnows) await delay(5_000);
  lost.resolve();
  const { code } = await exitOf(run);
  return { code, output: run.output() };
}

for (const survivorKnows of [true, false]) {
  const knows = survivorKnows ? "knows no leader" : "still names the leader";
  test(`a quorum that is lost between choice and stream stores nothing when the survivor ${knows}`, async () => {
    await using cluster = await startEtcd({ members: 3 });
    await cluster.etcdctl(["put", "a", "1"]);
    await using dir = await tempDir("quorum");
    const { code, output } = await saveWhileQuorumIsLost(cluster, {
      directory: dir.path,
      more: [],
      survivorKnows,
    });
    assert.equal(code, 1, output);
    assert.match(
      output,
      /was chosen and may not serve the snapshot any more: (has no leader|quorum could not)/,
    );
    await assertHoldsBackups({ url: `file://${dir.path}`, env: {} }, 0);
  });
}

test("where it is allowed, a quorum that is lost between choice and stream is in the manifest", async () => {
  await using cluster = await startEtcd({ members: 3 });
  await cluster.etcdctl(["put", "a", "1"]);
  await using dir = await tempDir("quorum");
  const { code, output } = await saveWhileQuorumIsLost(cluster, {
    directory: dir.path,
    more: ["--allow-without-quorum"],
    survivorKnows: true,
  });
  assert.equal(code, 0, output);
  assert.match(output, /"withoutQuorum": true/);
  assert.match(output, /warning +the cluster has no quorum/);
  await assertHoldsBackups({ url: `file://${dir.path}`, env: {} }, 1);
});

for (const minor of ["3.4", "3.5", "3.6"] as const) {
  test(`a linearizable read of etcd ${minor} proves the quorum, also where its user has no permission`, async (t) => {
    const reason = await whyUnavailable(minor);
    if (reason !== undefined) return t.skip(reason);
    await using cluster = await startEtcd({
      minor,
      members: 3,
      auth: { username: "root", password: "pass" },
    });
    await cluster.etcdctl(["user", "add", "weak:pass"]);
    const [member] = cluster.members;
    assert.ok(member);
    const { endpoint } = member;
    const auth = { username: "weak", password: "pass" };
    await using weak = openCluster([endpoint], { timeoutMs: 5000, auth });
    await using noUser = openCluster([endpoint], { timeoutMs: 5000 });
    await weak.confirmQuorum(endpoint, signal);
    await noUser.confirmQuorum(endpoint, signal);
    await Promise.all(cluster.members.slice(1).map((one) => one.kill()));
    // The survivor names the lost leader for another second.
    await assert.rejects(weak.confirmQuorum(endpoint, signal));
    await assert.rejects(noUser.confirmQuorum(endpoint, signal));
  });
}
