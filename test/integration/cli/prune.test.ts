import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type S3Client, PutObjectLegalHoldCommand } from "@aws-sdk/client-s3";
import { putClaim, readClaim } from "../../../src/backup/catalog/claim.ts";
import { openStore } from "../../../src/store/open.ts";
import { parseStoreUrl } from "../../../src/store/url.ts";
import { type Ran, etcdBackup, etcdBackupJson, s3Store } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { tempDir } from "../../harness/process.ts";
import { type S3Server, startS3 } from "../../harness/s3-server.ts";
import { rawClient } from "../../support/s3-store.ts";
import { saveArgs } from "../../support/save-command.ts";

interface Saved {
  name: string;
  stored: { object: string };
}

interface Planned {
  folder: string;
  dryRun: boolean;
  backups: { name: string; plan: string; reasons: string[]; removed: boolean; error?: string }[];
}

const signal = AbortSignal.timeout(300_000);
let etcd: EtcdCluster;
before(async () => {
  etcd = await startEtcd();
});
after(() => etcd[Symbol.asyncDispose]());

/** A folder `lab` in a store, with the command lines that work on it. */
function folderAt(url: string, env: Record<string, string>) {
  const at = ["--store", url, "--cluster-name", "lab"];
  return {
    at,
    open: () => openStore(parseStoreUrl(url), { env }),
    run: (verb: string, ...args: string[]): Promise<Ran> =>
      etcdBackup([...verb.split(" "), ...at, ...args], env),
    prune: (...args: string[]) =>
      etcdBackupJson<Planned>(["prune", ...at, "--series", "daily", ...args], env),
    /** Each backup has a revision of its own. */
    async save(series?: string): Promise<Saved> {
      await etcd.etcdctl(["put", "key", series ?? "by hand"]);
      return etcdBackupJson<Saved>(
        [...saveArgs(etcd, url), ...(series === undefined ? [] : ["--series", series])],
        env,
      );
    },
    async objects(): Promise<string[]> {
      await using store = await openStore(parseStoreUrl(url), { env });
      const names = (await Array.fromAsync(store.list("lab/", { signal }))).map(({ name }) => name);
      return names.filter((name) => !name.includes("/claim/"));
    },
  };
}

const objectsOf = (saved: readonly Saved[]) =>
  saved.flatMap(({ name, stored }) => [`lab/${name}.json`, stored.object]).toSorted();

for (const kind of ["a directory", "S3"] as const)
  describe(`prune in ${kind}`, () => {
    const started = new AsyncDisposableStack();
    let folder: ReturnType<typeof folderAt>;
    let old: Saved[];
    let kept: Saved[];
    before(async () => {
      if (kind === "S3") {
        const s3 = started.use(await startS3());
        await s3.createBucket("backups");
        const { url, env } = s3Store(s3, "backups");
        folder = folderAt(url, env);
      } else folder = folderAt(`file://${started.use(await tempDir("prune")).path}`, {});
      const other = await folder.save("weekly");
      const byHand = await folder.save();
      old = [await folder.save("daily"), await folder.save("daily")];
      kept = [await folder.save("daily"), byHand, other];
    });
    after(() => started.disposeAsync());

    it("shows with --dry-run what it would remove and why, and removes nothing", async () => {
      const { code, stdout, stderr } = await folder.run(
        "prune",
        ...["--series", "daily", "--keep-last", "1", "--dry-run"],
      );
      assert.equal(code, 0, stderr);
      const lines = stdout.trimEnd().split("\n");
      assert.match(lines[0] ?? "", /^BACKUP +AGE +REVISION +PLAN +REASON$/);
      assert.deepEqual(
        lines.slice(1, -1).map((line) => /^\S+ +\d+s +\d+ +(.*)$/.exec(line)?.[1]?.replace(/ +/, " ")),
        [
          "keep the newest backup, last 1",
          "remove no rule keeps it",
          "remove no rule keeps it",
          "keep made by hand",
          "keep of another series: weekly",
        ],
        stdout,
      );
      assert.equal(lines.at(-1), "3 to keep, 2 to remove; nothing was removed (--dry-run)");
      assert.deepEqual(await folder.objects(), objectsOf([...old, ...kept]));
    });

    it("warns of a series that the folder does not hold, and removes nothing", async () => {
      const { code, stderr } = await folder.run("prune", "--series", "weakly", "--keep-last", "1");
      assert.equal(code, 0);
      assert.match(stderr, /^warning: \S+\/lab holds no backup of the series weakly\n$/);
      assert.deepEqual(await folder.objects(), objectsOf([...old, ...kept]));
    });

    it("is refused in a folder that an operator holds, and goes on when a person gives the hold up", async () => {
      await using store = await folder.open();
      const claim = (await readClaim(store, "lab", signal)) ?? assert.fail("no claim");
      const writer = { id: "w1", who: "EtcdBackupStore ns/main" };
      await putClaim(store, "lab", { ...claim, number: claim.number + 1, writer }, signal);
      const refused = await folder.run("prune", "--series", "daily", "--keep-last", "1");
      assert.deepEqual([refused.code, refused.stdout], [3, ""], refused.stderr);
      assert.match(refused.stderr, /folder lab is held by EtcdBackupStore ns\/main \(writer w1\)/);
      const notDeleted = await folder.run("delete", old[0]?.name ?? "");
      assert.deepEqual([notDeleted.code, notDeleted.stdout], [3, ""], notDeleted.stderr);
      assert.deepEqual(await folder.objects(), objectsOf([...old, ...kept]));
      const command =
        /etcd-backup (claim take .*)$/m.exec(refused.stderr)?.[1] ?? assert.fail(refused.stderr);
      const taken = await folder.run("claim take", ...command.split(" ").slice(2));
      assert.equal(taken.code, 0, taken.stderr);
    });

    it("removes the manifest and the data of what no rule keeps, and nothing when it is repeated", async () => {
      const names = old.map(({ name }) => name).toReversed();
      const first = await folder.prune("--keep-last", "1");
      const gone = first.backups.filter(({ removed }) => removed);
      assert.deepEqual(
        gone.map(({ name, plan }) => [name, plan]),
        names.map((name) => [name, "remove"]),
      );
      assert.deepEqual(await folder.objects(), objectsOf(kept));
      const second = await folder.prune("--keep-last", "1");
      assert.deepEqual(
        second.backups.map(({ name, plan }) => [name, plan]),
        kept.map(({ name }) => [name, "keep"]),
      );
      const verified = await folder.run("verify", "latest");
      assert.equal(verified.code, 0, verified.stderr);
    });

    it("is not needed for a person who deletes a backup by name: its manifest and data go", async () => {
      const [newest, byHand] = kept.map(({ name }) => name);
      assert.ok(newest !== undefined && byHand !== undefined);
      const refused = await folder.run("delete", byHand, newest);
      assert.equal(refused.code, 3, refused.stdout);
      assert.match(refused.stderr, /is the newest backup .*nothing was deleted\n {2}hint: .*--allow-newest/);
      const tried = await folder.run("delete", byHand, "--dry-run");
      assert.match(tried.stdout, /would be deleted\n1 to delete; nothing was deleted \(--dry-run\)\n$/);
      assert.deepEqual(await folder.objects(), objectsOf(kept));
      const deleted = await folder.run("delete", byHand);
      assert.equal(deleted.code, 0, deleted.stderr);
      assert.match(deleted.stdout, new RegExp(`\n${byHand} .* - +deleted\n1 of 1 deleted\n$`));
      assert.deepEqual(await folder.objects(), objectsOf(kept.filter(({ name }) => name !== byHand)));
    });

    it("fails when the store cannot be listed, and prints no plan", async () => {
      const [, url = ""] = folder.at;
      const elsewhere = url.replace("/backups", "/none").replace(/^(file:.*)$/, "$1/none");
      const { code, stdout, stderr } = await folder.run(
        "prune",
        ...["--series", "daily", "--keep-last", "1", "--store", elsewhere],
      );
      assert.deepEqual([code, stdout], [3, ""], stderr);
      assert.match(stderr, /does not exist/);
    });
  });

describe("prune in a bucket with object lock", () => {
  let s3: S3Server;
  let raw: S3Client;
  before(async () => {
    s3 = await startS3();
    await s3.createBucket("locked", { objectLock: true });
    raw = rawClient(s3);
  });
  after(async () => {
    raw.destroy();
    await s3[Symbol.asyncDispose]();
  });

  it("removes the others, leaves a locked backup whole, and ends with exit code 3", async () => {
    const { url, env } = s3Store(s3, "locked");
    const folder = folderAt(`${url}&versions=Remove`, env);
    const [locked, free, newest] = [
      await folder.save("daily"),
      await folder.save("daily"),
      await folder.save("daily"),
    ];
    for (const Key of objectsOf([locked]))
      await raw.send(new PutObjectLegalHoldCommand({ Bucket: "locked", Key, LegalHold: { Status: "ON" } }));
    const { code, stdout, stderr } = await folder.run("prune", "--series", "daily", "--keep-last", "1");
    assert.equal(code, 3, stderr);
    assert.match(stderr, new RegExp(`1 of 2 backups remain: ${locked.name}: .*under object lock`));
    assert.match(stdout, new RegExp(`${locked.name} .*; not removed: .*under object lock`));
    assert.match(stdout, /\n1 kept, 1 removed, 1 to remove are still there\n$/);
    assert.match(stdout, new RegExp(`${free.name} .* no rule keeps it\n`));
    assert.deepEqual(await folder.objects(), objectsOf([locked, newest]));
  });
});
