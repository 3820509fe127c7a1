import assert from "node:assert/strict";
import { chown, mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { etcdBackupJson } from "../../harness/etcd-backup.ts";
import { tempDir } from "../../harness/process.ts";
import { assertSameHashKV, keyValues } from "../../support/cluster-state.ts";
import { treeOf } from "../../support/files.ts";
import { bootRestored, planMembers, restoreAll, toolFlags } from "../../support/restore.ts";
import { type Source, directoryWarnings, startSource } from "./source.ts";

describe("a restored data directory", { timeout: 300_000 }, () => {
  let source: Source;
  let directory: { path: string } & AsyncDisposable;
  before(async () => {
    directory = await tempDir("restore");
    source = await startSource("3.6", directory.path);
  });
  after(async () => {
    await source[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });
  const backup = async (): Promise<string[]> => [
    ...["latest", "--store", source.store],
    ...(await toolFlags("3.6")),
  ];

  it("is private to its owner, has the WAL in --wal-dir and holds no other file", async () => {
    await using place = await tempDir("restored");
    const plan = await planMembers(place.path, 3, { walDirs: true });
    await restoreAll(place.path, plan, await backup());
    const { uid, gid } = await stat(place.path);
    for (const { dataDir, walDir = "" } of plan.members) {
      const data = modes(await treeOf(dataDir));
      const snap = Object.keys(data).find((name) => name.endsWith(".snap")) ?? "no .snap";
      assert.deepEqual(data, {
        "": `directory 700 ${uid}:${gid}`,
        member: `directory 700 ${uid}:${gid}`,
        "member/restored.json": `file 600 ${uid}:${gid}`,
        "member/snap": `directory 700 ${uid}:${gid}`,
        [snap]: `file 644 ${uid}:${gid}`,
        "member/snap/db": `file 600 ${uid}:${gid}`,
      });
      assert.deepEqual(modes(await treeOf(walDir)), {
        "": `directory 700 ${uid}:${gid}`,
        "0000000000000000-0000000000000000.wal": `file 600 ${uid}:${gid}`,
      });
    }
    await using cluster = await bootRestored({ members: plan.members });
    assert.equal(await keyValues(cluster), source.keyValues);
    await assertSameHashKV(cluster);
    assert.deepEqual(directoryWarnings(cluster), []);
    for (const { dataDir } of plan.members)
      assert.deepEqual((await readdir(join(dataDir, "member"))).toSorted(), ["restored.json", "snap"]);
  });

  it("gets the owner of the empty directory, which keeps its mode", async (t) => {
    if (process.getuid?.() !== 0) return t.skip("only root can change the owner of a file");
    await using place = await tempDir("restored");
    const [dataDir, walDir] = [join(place.path, "data"), join(place.path, "log")];
    await mkdir(dataDir, { mode: 0o750 });
    await mkdir(walDir, { mode: 0o700 });
    await mkdir(join(dataDir, "lost+found"));
    await chown(dataDir, 4321, 1234);
    await chown(walDir, 4322, 1235);
    const args = ["restore", ...(await backup()), "--data-dir", dataDir, "--wal-dir", walDir];
    await etcdBackupJson(args);
    const { "lost+found": own, ...data } = modes(await treeOf(dataDir));
    assert.match(own ?? "", / 0:0$/, "lost+found is not changed");
    assert.equal(data[""], "directory 750 4321:1234");
    assert.ok("member/snap/db" in data && "member/restored.json" in data);
    for (const [name, entry] of Object.entries(data)) assert.match(entry, / 4321:1234$/, name);
    const log = Object.entries(modes(await treeOf(walDir)));
    assert.equal(log.length, 2);
    for (const [name, entry] of log) assert.match(entry, / 4322:1235$/, name);
  });
});

/** A tree of `treeOf` without the digests. */
function modes(tree: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(tree).map(([name, entry]) => [name, entry.split(" ").slice(0, 3).join(" ")]),
  );
}
