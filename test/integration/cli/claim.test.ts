import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { randomBytes } from "node:crypto";
import { saveSnapshot } from "../../../src/backup/save.ts";
import { defaultSelection } from "../../../src/core/etcd/member-choice.ts";
import { openCluster } from "../../../src/etcd/cluster.ts";
import { openStore } from "../../../src/store/open.ts";
import { parseStoreUrl } from "../../../src/store/url.ts";
import { etcdBackup, etcdBackupJson, etcdFlags, s3Store } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { tempDir } from "../../harness/process.ts";
import { startS3 } from "../../harness/s3-server.ts";
import { bootRestored, planMembers, restoreAll, toolFlags } from "../../support/restore.ts";
import { saveArgs } from "../../support/save-command.ts";

interface Saved {
  name: string;
  cluster: { id: string };
}

const kinds = ["a directory", "S3"] as const;

for (const kind of kinds)
  describe(`the folder of a cluster in ${kind}`, () => {
    let url: string;
    let env: Record<string, string> = {};
    let etcd: EtcdCluster;
    let stranger: EtcdCluster;
    const started = new AsyncDisposableStack();

    before(async () => {
      [etcd, stranger] = await Promise.all([
        startEtcd().then((cluster) => started.use(cluster)),
        startEtcd().then((cluster) => started.use(cluster)),
      ]);
      if (kind === "S3") {
        const s3 = started.use(await startS3());
        await s3.createBucket("backups");
        ({ url, env } = s3Store(s3, "backups"));
      } else url = `file://${started.use(await tempDir("claims")).path}`;
    });
    after(() => started.disposeAsync());

    const save = (cluster: EtcdCluster) => etcdBackupJson<Saved>(saveArgs(cluster, url), env);
    const at = () => ["--store", url, "--cluster-name", "lab"];
    const latest = async (): Promise<string> => {
      const { code, stderr } = await etcdBackup(["verify", "latest", ...at()], env);
      assert.equal(code, 0, stderr);
      return stderr;
    };

    it("is refused to another etcd cluster, with what settles it, and shows whose it is", async () => {
      const { cluster } = await save(etcd);
      const refused = await etcdBackup(saveArgs(stranger, url), env);
      assert.equal(refused.code, 3, refused.stderr);
      assert.match(refused.stderr, new RegExp(`folder lab belongs to etcd cluster ${cluster.id}`));
      const shown = await etcdBackup(["claim", "show", ...at()], env);
      assert.match(
        shown.stdout,
        new RegExp(`^FOLDER .*/lab\nETCD +${cluster.id}\nWRITER +nobody holds it\nSINCE `),
      );
    });

    it("goes on with a restored cluster, whose first backup is the latest", async () => {
      const before = await save(etcd);
      const { path } = started.use(await tempDir("restored"));
      const plan = await planMembers(path, 3);
      const restored = await restoreAll(path, plan, ["latest", ...at(), ...(await toolFlags("3.6"))], env);
      await using cluster = await bootRestored({ members: plan.members });
      const own = await save(cluster);
      assert.equal(own.cluster.id, restored.clusterID, "etcd has the ID that the restore has computed");
      assert.match(await latest(), new RegExp(`latest is lab/${own.name}`));
      const claim = await etcdBackupJson<{ lineage: { id: string; restoredFrom?: string }[] }>(
        ["claim", "show", ...at()],
        env,
      );
      assert.deepEqual(
        claim.lineage.map(({ id, restoredFrom }) => [id, restoredFrom]),
        [
          [before.cluster.id, undefined],
          [own.cluster.id, before.name],
        ],
      );
      const former = await etcdBackup(saveArgs(etcd, url), env);
      assert.equal(former.code, 3, former.stderr);
      assert.match(former.stderr, /has replaced this one \([0-9a-f]+\), restored from /);
    });

    it("goes to the cluster that a person names, and the backups of the others stay", async () => {
      const taken = await etcdBackup(["claim", "take", ...at(), ...etcdFlags(stranger)], env);
      assert.equal(taken.code, 0, taken.stderr);
      assert.match(taken.stdout, /\nBEFORE .*\nBEFORE .*\nWRITER +nobody .*\nSINCE .*: a person took it/);
      const own = await save(stranger);
      assert.match(await latest(), new RegExp(`latest is lab/${own.name}`));
      const listed = await etcdBackup(["list", ...at()], env);
      assert.equal(listed.stdout.trim().split("\n").length, 1 + 4, listed.stdout);
    });

    it("is taken from a claim that is damaged, as the message says", async () => {
      await using store = await openStore(parseStoreUrl(url), { env });
      const signal = AbortSignal.timeout(30_000);
      await store.put("lab/claim/00000000000000000099.json", [Buffer.from("<html>")], { signal });
      const refused = await etcdBackup(saveArgs(stranger, url), env);
      assert.equal(refused.code, 4, refused.stderr);
      assert.match(refused.stderr, /0+99\.json is not a claim: it is not JSON[^]*claim take/);
      const taken = await etcdBackup(["claim", "take", ...at(), ...etcdFlags(stranger)], env);
      assert.equal(taken.code, 0, taken.stderr);
      await save(stranger);
    });

    it("has a latest that no clock decides: a backup that is named 90 days ahead is not it, and is warned of", async () => {
      await using store = await openStore(parseStoreUrl(url), { env });
      await using cluster = openCluster(stranger.endpoints, { timeoutMs: 5_000, tls: {} });
      const ahead = await saveSnapshot({
        cluster,
        store,
        clusterName: "lab",
        runId: randomBytes(6).toString("hex"),
        selection: defaultSelection,
        hashKV: "Skip",
        compression: "Zstd",
        readBack: false,
        tool: { name: "etcd-backup", version: "test" },
        now: () => new Date(Date.now() + 90 * 86_400_000),
        signal: AbortSignal.timeout(60_000),
      });
      await stranger.etcdctl(["put", "newer", "yes"]);
      const newest = await save(stranger);
      const said = await latest();
      assert.match(said, new RegExp(`latest is lab/${newest.name}`));
      assert.match(said, new RegExp(`warning: ${ahead.name} has a later time .* the clock`));
    });
  });
