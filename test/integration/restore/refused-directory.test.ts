import assert from "node:assert/strict";
import { chmod, chown, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { after, before, describe, it } from "node:test";
import { bytes } from "../../../src/core/human.ts";
import { binary } from "../../harness/binaries.ts";
import { etcdBackup } from "../../harness/etcd-backup.ts";
import { tempDir } from "../../harness/process.ts";
import { treeOf } from "../../support/files.ts";
import { mountTmpfs } from "../../support/tmpfs.ts";
import { type SampleBackup, assertRefused, sampleBackup, three } from "./refusal.ts";

let directory: { path: string } & AsyncDisposable;
let backup: SampleBackup;

before(async () => {
  directory = await tempDir("refusals");
  backup = await sampleBackup(directory.path, "3.6");
});
after(() => directory[Symbol.asyncDispose]());

describe("restore refuses a directory that it would have to change, with exit code 3", () => {
  it("a data directory that is not empty", async () => {
    await using dir = await tempDir("refusal");
    const data = join(dir.path, "data");
    await mkdir(join(data, "member", "snap"), { recursive: true });
    await writeFile(join(data, "member", "snap", "db"), "precious");
    const hint = "stop the etcd that uses it and move it away first: mv {dir}/data {dir}/data.old";
    const args = [backup.file, "--data-dir", "{dir}/data"];
    await assertRefused(dir.path, {
      args,
      code: 3,
      says: `etcd-backup: data directory {dir}/data is not empty (member); nothing in it was changed
  hint: ${hint}
`,
    });
    for (const name of ["a", "b", "c"]) await writeFile(join(data, name), "");
    if (process.getuid?.() === 0) await chown(data, 4321, 1234);
    const owner = process.getuid?.() === 0 ? " && install -d -m 700 -o 4321 -g 1234 {dir}/data" : "";
    await assertRefused(dir.path, {
      args,
      code: 3,
      says: `etcd-backup: data directory {dir}/data is not empty (a, b, c, …); nothing in it was changed
  hint: ${hint}${owner}
`,
    });
  });

  it("one of several data directories that is not empty, and creates none of the others", async () => {
    await using dir = await tempDir("refusal");
    await mkdir(join(dir.path, "m3"));
    await writeFile(join(dir.path, "m3", "here"), "");
    await assertRefused(dir.path, {
      args: [backup.file, "--all-members", "--initial-cluster", three, "--data-dir-template", "{dir}/{name}"],
      code: 3,
      says: `etcd-backup: data directory {dir}/m3 is not empty (here); nothing in it was changed
  hint: stop the etcd that uses it and move it away first: mv {dir}/m3 {dir}/m3.old
`,
    });
  });

  it("a file in the place of the data directory", async () => {
    await using dir = await tempDir("refusal");
    await writeFile(join(dir.path, "data"), "precious");
    await assertRefused(dir.path, {
      args: [backup.file, "--data-dir", "{dir}/data"],
      code: 3,
      says: "etcd-backup: data directory {dir}/data is not a directory\n",
    });
  });

  it("a WAL directory that is not empty, with an empty data directory", async () => {
    await using dir = await tempDir("refusal");
    await mkdir(join(dir.path, "log"));
    await writeFile(join(dir.path, "log", "0000000000000000-0000000000000000.wal"), "precious");
    await assertRefused(dir.path, {
      args: [backup.file, "--data-dir", "{dir}/data", "--wal-dir", "{dir}/log"],
      code: 3,
      says: `etcd-backup: WAL directory {dir}/log is not empty (0000000000000000-0000000000000000.wal); nothing in it was changed
  hint: stop the etcd that uses it and move it away first: mv {dir}/log {dir}/log.old
`,
    });
  });

  it("a directory that cannot be written, and removes the data directory that it has created", async (t) => {
    await using dir = await tempDir("refusal");
    const readOnly = join(dir.path, "sealed");
    await mkdir(readOnly);
    await using _ = await makeUnwritable(readOnly);
    const code = process.getuid?.() === 0 ? "EROFS" : "EACCES";
    const hint = "create it for etcd's user, or run this command as root";
    t.diagnostic(`the expected error is ${code}`);
    for (const [data, says] of [
      [["--data-dir", "{dir}/sealed"], `data directory {dir}/sealed cannot be written: ${code}`],
      [["--data-dir", "{dir}/sealed/new"], `data directory {dir}/sealed/new cannot be created: ${code}`],
      [
        ["--data-dir", "{dir}/new/data", "--wal-dir", "{dir}/sealed/log"],
        `WAL directory {dir}/sealed/log cannot be created: ${code}`,
      ],
    ] as const)
      await assertRefused(dir.path, {
        args: [backup.file, ...data],
        code: 3,
        says: `etcd-backup: ${says}\n  hint: ${hint}\n`,
      });
  });

  it("a disk that is too small for all members", async (t) => {
    await using dir = await tempDir("refusal");
    const disk = join(dir.path, "disk");
    await mkdir(disk);
    const mount = await mountTmpfs(disk, "size=180m");
    if ("reason" in mount) return t.skip(mount.reason);
    await using _ = mount;
    const all = ["--all-members", "--initial-cluster", three];
    const free = "189 MB";
    const size = (await stat(backup.file)).size;
    const logs = 3 * 64 * 1024 * 1024;
    await assertRefused(dir.path, {
      args: [backup.file, ...all, "--data-dir-template", "{dir}/disk/{name}"],
      code: 3,
      says: `etcd-backup: not enough disk space: {dir}/disk/m1, {dir}/disk/m2, {dir}/disk/m3 need ${bytes(4 * size + logs)}, and ${free} are free
  hint: free disk space, or choose another disk
`,
    });
    await assertRefused(dir.path, {
      args: [
        backup.file,
        ...all,
        "--data-dir-template",
        "{dir}/{name}",
        "--wal-dir-template",
        "{dir}/disk/{name}",
      ],
      code: 3,
      says: `etcd-backup: not enough disk space: {dir}/disk/m1, {dir}/disk/m2, {dir}/disk/m3 need ${bytes(logs)}, and ${free} are free
  hint: free disk space, or choose another disk
`,
    });
  });

  it("a disk that gets full while the snapshot is decompressed", async (t) => {
    await using dir = await tempDir("refusal");
    const disk = join(dir.path, "disk");
    await mkdir(disk);
    const small = join(dir.path, "small.db.zst");
    const plain = await readFile(backup.file);
    const packed = zstdCompressSync(plain);
    await writeFile(small, packed);
    const free = 2.2 * packed.length;
    assert.ok(free < plain.length, "the disk has room for the compressed file only");
    const mount = await mountTmpfs(disk, `size=${Math.ceil(free / 1024)}k`);
    if ("reason" in mount) return t.skip(mount.reason);
    await using _ = mount;
    await assertRefused(dir.path, {
      args: [small, "--data-dir", "{dir}/disk", "--wal-dir", "{dir}/log"],
      code: 3,
      says: `etcd-backup: writing {dir}/disk/.restoring-{id}/snapshot.db: no space is left (ENOSPC)
  hint: free disk space, then restore again
`,
    });
  });

  it("a disk that gets full while etcdutl writes", async (t) => {
    await using dir = await tempDir("refusal");
    const disk = join(dir.path, "disk");
    await mkdir(disk);
    const small = join(dir.path, "small.db.zst");
    const plain = await readFile(backup.file);
    await writeFile(small, zstdCompressSync(plain));
    const mount = await mountTmpfs(disk, `size=${Math.ceil(plain.length / 1024) + 1024}k`);
    if ("reason" in mount) return t.skip(mount.reason);
    await using _ = mount;
    const before = await treeOf(dir.path);
    const where = ["--data-dir", disk, "--wal-dir", join(dir.path, "log")];
    const { code, stderr } = await etcdBackup([
      "restore",
      small,
      ...where,
      "--etcdutl",
      await binary("etcdutl"),
    ]);
    assert.equal(code, 3);
    // The system call that fails depends on the file system.
    assert.match(
      stderr,
      /\netcd-backup: etcdutl 3\.6\.\d+ snapshot restore of default: write .*\/data\/member\/snap\/db: .*no space left on device\n {2}hint: free disk space, then restore again\n$/,
    );
    assert.deepEqual(await treeOf(dir.path), before, "nothing was touched");
  });
});

/** Makes a directory read-only: for root, who ignores its mode, by a read-only mount. */
async function makeUnwritable(path: string): Promise<AsyncDisposable> {
  if (process.getuid?.() !== 0) {
    await chmod(path, 0o555);
    return { [Symbol.asyncDispose]: () => chmod(path, 0o755) };
  }
  const mount = await mountTmpfs(path, "ro");
  if ("reason" in mount) throw new Error(mount.reason);
  return mount;
}
