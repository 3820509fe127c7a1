import assert from "node:assert/strict";
import { cp, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { binary } from "../../harness/binaries.ts";
import { etcdBackup } from "../../harness/etcd-backup.ts";
import { tempDir } from "../../harness/process.ts";
import { cutShort, flipByte } from "../../support/damage.ts";
import { filesBelow, treeOf } from "../../support/files.ts";
import { type SampleBackup, assertRefused, sampleBackup } from "./refusal.ts";

let directory: { path: string } & AsyncDisposable;
let backup: SampleBackup;

before(async () => {
  directory = await tempDir("refusals");
  backup = await sampleBackup(directory.path, "3.6");
});
after(() => directory[Symbol.asyncDispose]());

describe("restore refuses a backup that does not verify, with exit code 4", () => {
  /** Copies the store into a directory. `object` is the path of the data object. */
  async function copyStore(dir: string): Promise<{ store: string; name: string; object: string }> {
    await cp(new URL(backup.store).pathname, join(dir, "store"), { recursive: true });
    const object = (await filesBelow(join(dir, "store"))).find((name) => name.endsWith(".db")) ?? "";
    return { store: `file://${dir}/store`, name: backup.name, object: join(dir, "store", object) };
  }
  const data = ["--data-dir", "{dir}/new/data", "--wal-dir", "{dir}/log"];

  it("a data object with a flipped bit", async () => {
    await using dir = await tempDir("refusal");
    const { store, name, object } = await copyStore(dir.path);
    await flipByte(object);
    const before = await treeOf(dir.path);
    const args = data.map((arg) => arg.replace("{dir}", dir.path));
    const { code, stdout, stderr } = await etcdBackup([
      "restore",
      name,
      "--store",
      store,
      ...args,
      "--etcdutl",
      await binary("etcdutl"),
    ]);
    assert.deepEqual({ code, stdout }, { code: 4, stdout: "" });
    assert.match(stderr, new RegExp(`^etcd-backup: ${name} is damaged: .*stored SHA-256: the manifest says`));
    assert.match(stderr, /\n {2}hint: choose another backup: see `etcd-backup list`\n$/);
    assert.deepEqual(await treeOf(dir.path), before, "nothing was touched");
  });

  it("a truncated data object", async () => {
    await using dir = await tempDir("refusal");
    const { store, name, object } = await copyStore(dir.path);
    const { size } = await stat(object);
    await cutShort(object);
    await assertRefused(dir.path, {
      args: [name, "--store", store, ...data],
      code: 4,
      says: `etcd-backup: backup ${name} in file://{dir}/store: object is ${size - 1} bytes, the manifest says ${size}\n`,
    });
  });

  it("a file with a wrong trailer or none", async () => {
    await using dir = await tempDir("refusal");
    const bytes = await readFile(backup.file);
    const wrong = Buffer.from(bytes);
    wrong[wrong.length - 1] = wrong.readUInt8(wrong.length - 1) ^ 1;
    await writeFile(join(dir.path, "wrong.db"), wrong);
    await writeFile(join(dir.path, "none.db"), bytes.subarray(0, -32));
    const snapDb =
      "; a copy of member/snap/db has no trailer: if it is all there is, see docs/runbooks/quorum-lost.md";
    for (const [name, trailer, more] of [
      ["wrong.db", "wrong", ""],
      ["none.db", "missing", snapDb],
    ])
      await assertRefused(dir.path, {
        args: [`{dir}/${name}`, ...data],
        code: 4,
        says: `etcd-backup: {dir}/${name} must not be restored: SHA-256 trailer: ${trailer}
  hint: choose another backup${more}
`,
      });
  });
});

it("restore refuses a backup that does not exist, with exit code 3", async () => {
  await using dir = await tempDir("refusal");
  const data = ["--data-dir", "{dir}/data"];
  await assertRefused(dir.path, {
    args: ["{dir}/no.db", ...data],
    code: 3,
    says: `etcd-backup: {dir}/no.db cannot be read: there is no such file, and it is not a backup's name
  hint: give a snapshot file, a backup's URL, or a backup's name with --store
`,
  });
  await assertRefused(dir.path, {
    args: ["20200101T000000Z-r00000000000000000004-297ac9c21054", "--store", backup.store, ...data],
    code: 3,
    says: `etcd-backup: there is no backup 20200101T000000Z-r00000000000000000004-297ac9c21054 in ${backup.store}
  hint: see \`etcd-backup list\`
`,
  });
});
