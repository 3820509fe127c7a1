import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { placedExitCode } from "../../../src/core/restore/placed-exit-code.ts";
import { type Ran, etcdBackup, etcdBackupJson } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { run, tempDir } from "../../harness/process.ts";
import { flipByte } from "../../support/damage.ts";
import { treeOf } from "../../support/files.ts";
import { bootRestored, planMembers, restoreTool } from "../../support/restore.ts";
import { saveArgs } from "../../support/save-command.ts";

const id = "7f6d4c9e-1d0c-4a55-9f35-0d0f5b0c1c11";

/** The three containers that the Pod of a member's Job runs one after the other. */
describe("the steps of a member's Job", { concurrency: true }, () => {
  let source: EtcdCluster;
  let store: Awaited<ReturnType<typeof tempDir>>;
  let name: string;
  let sha256: string;
  before(async () => {
    source = await startEtcd();
    await source.etcdctl(["put", "/a", "1"]);
    store = await tempDir("store");
    const save = saveArgs(source, `file://${store.path}`);
    ({ name } = await etcdBackupJson<{ name: string }>(save));
    const manifest = await readFile(join(store.path, "lab", `${name}.json`), "utf8");
    sha256 = (JSON.parse(manifest) as { snapshot: { sha256: string } }).snapshot.sha256;
  });
  after(async () => {
    await store[Symbol.asyncDispose]();
    await source[Symbol.asyncDispose]();
  });

  const fetch = (dataDir: string, more: { from?: string; sha256?: string; id?: string } = {}): Promise<Ran> =>
    etcdBackup([
      ...["restore-step", "fetch", "--id", more.id ?? id, "--data-dir", dataDir, "--backup", `lab/${name}`],
      ...["--sha256", more.sha256 ?? sha256, "--store", `file://${more.from ?? store.path}`],
    ]);
  const place = (dataDir: string): Promise<Ran> =>
    etcdBackup([
      ...["restore-step", "place", "--id", id, "--data-dir", dataDir, "--backup", `lab/${name}`],
      ...["--member", "r1", "--token", "fresh"],
    ]);
  async function plan(directory: string) {
    const { members, initialCluster } = await planMembers(directory, 1);
    const [member] = members;
    assert.ok(member);
    const restore = async (): Promise<void> => {
      const work = join(member.dataDir, `.restoring-${id}`);
      const [, peerUrl = ""] = initialCluster.split("=");
      const { code, stderr } = await run(await restoreTool("3.6"), [
        ...["snapshot", "restore", join(work, "snapshot.db"), "--data-dir", join(work, "data")],
        ...["--name", "r1", "--initial-cluster", initialCluster, "--initial-cluster-token", "fresh"],
        ...["--initial-advertise-peer-urls", peerUrl],
      ]);
      assert.equal(code, 0, stderr);
    };
    return { member, dataDir: member.dataDir, restore };
  }
  const assertSucceeds = ({ code, stderr }: Ran): void => assert.equal(code, 0, stderr);

  it("fill an empty volume, which has no member directory before the last step", async () => {
    await using volume = await tempDir("volume");
    const { member, dataDir, restore } = await plan(volume.path);
    // A new file system has a lost+found.
    await mkdir(join(dataDir, "lost+found"), { recursive: true });
    assertSucceeds(await fetch(dataDir));
    const snapshot = await readFile(join(dataDir, `.restoring-${id}`, "snapshot.db"));
    const database = snapshot.subarray(0, -32);
    assert.deepEqual(snapshot.subarray(-32), createHash("sha256").update(database).digest());
    await restore();
    assert.deepEqual((await readdir(dataDir)).toSorted(), [`.restoring-${id}`, "lost+found"]);
    assertSucceeds(await place(dataDir));
    assert.deepEqual((await readdir(dataDir)).toSorted(), ["lost+found", "member"]);
    await using restored = await bootRestored({ members: [member] });
    assert.equal(await restored.etcdctl(["get", "/a"]), "/a\n1\n");
  });

  it("may run again after any step and do not change a directory that is in place", async () => {
    await using volume = await tempDir("volume");
    const { dataDir, restore } = await plan(volume.path);
    assertSucceeds(await fetch(dataDir));
    assertSucceeds(await fetch(dataDir));
    await restore();
    assertSucceeds(await fetch(dataDir));
    await restore();
    assertSucceeds(await place(dataDir));
    const placed = await treeOf(dataDir);
    assertSucceeds(await place(dataDir));
    assert.deepEqual(await treeOf(dataDir), placed);
    // The Pod ends at its first container, which needs neither room nor the store.
    const { code, stderr } = await fetch(dataDir, { from: join(volume.path, "no-store") });
    assert.equal(code, placedExitCode, stderr);
    assert.match(stderr, /already holds the data of this restore/);
    assert.deepEqual(await treeOf(dataDir), placed);
  });

  it("refuse a volume that holds the data of another restore or foreign data, and do not change it", async () => {
    await using volume = await tempDir("volume");
    const { dataDir, restore } = await plan(volume.path);
    assertSucceeds(await fetch(dataDir));
    await restore();
    assertSucceeds(await place(dataDir));
    const foreign = join(volume.path, "foreign");
    await mkdir(join(foreign, "member"), { recursive: true });
    await writeFile(join(foreign, "member", "file"), "foreign");
    for (const [path, other] of [
      [dataDir, { id: "another" }],
      [foreign, {}],
    ] as const) {
      const before = await treeOf(path);
      const { code, stderr } = await fetch(path, other);
      assert.equal(code, 3, stderr);
      assert.match(stderr, /is not empty \(member\); nothing in it was changed/);
      assert.deepEqual(await treeOf(path), before);
    }
  });

  it("refuse a backup that is another one than was verified, or was damaged since", async () => {
    await using volume = await tempDir("volume");
    const { dataDir } = await plan(volume.path);
    const other = await fetch(dataDir, { sha256: "0".repeat(64) });
    assert.equal(other.code, 4, other.stderr);
    assert.match(other.stderr, /differs from that of the backup that the operator verified/);

    await using damaged = await tempDir("store");
    await mkdir(join(damaged.path, "lab"));
    const files = (await readdir(join(store.path, "lab"))).filter((file) => file !== "claim");
    for (const file of files)
      await writeFile(join(damaged.path, "lab", file), await readFile(join(store.path, "lab", file)));
    const [data = ""] = (await readdir(join(damaged.path, "lab"))).filter((file) => file.includes(".db"));
    await flipByte(join(damaged.path, "lab", data));
    const { code, stderr } = await fetch(dataDir, { from: damaged.path });
    assert.equal(code, 4, stderr);
  });
});
