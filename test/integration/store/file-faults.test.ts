import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  chmod,
  mkdir,
  readdir,
  readFile,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { createFileStore } from "../../../src/store/file/file-store.ts";
import { openStore } from "../../../src/store/open.ts";
import { parseStoreUrl } from "../../../src/store/url.ts";
import type { Store } from "../../../src/store/store.ts";
import { run } from "../../harness/process.ts";
import { tempDir } from "../../harness/temp-dir.ts";
import { rejection } from "../../support/operator-error.ts";
import { mountTmpfs } from "../../support/tmpfs.ts";

const signal = AbortSignal.timeout(120_000);
const isRoot = process.getuid?.() === 0;

describe("a store in a directory", () => {
  let directory: { path: string } & AsyncDisposable;
  let path: string;
  let store: Store;
  beforeEach(async () => {
    directory = await tempDir("store-faults");
    path = join(directory.path, "root");
    await mkdir(path);
    store = createFileStore({ path });
  });
  afterEach(async () => directory[Symbol.asyncDispose]());

  const put = (name: string, bytes: Uint8Array = Buffer.from("x")) => store.put(name, [bytes], { signal });
  const names = async () => (await Array.fromAsync(store.list("", { signal }))).map(({ name }) => name);

  it("stores an object as a file that only its owner can read, with the proof ReadBack", async () => {
    const bytes = randomBytes(100_000);
    assert.equal((await put("a/b/c", bytes)).proof, "ReadBack");
    const file = join(path, "a/b/c");
    assert.deepEqual(await readFile(file), bytes);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.equal((await stat(file)).nlink, 1);
    assert.equal((await stat(dirname(file))).mode & 0o777, 0o700);
  });

  it("is opened by its URL and returns it", async () => {
    await using opened = await openStore(parseStoreUrl(`file://${path}/`), { env: {} });
    assert.equal(opened.url, `file://${path}`);
    await opened.put("a", [Buffer.from("x")], { signal });
    assert.deepEqual(await names(), ["a"]);
  });

  it("needs an absolute path of an existing directory", async () => {
    assert.throws(() => createFileStore({ path: "backups" }), { code: "InvalidConfiguration" });
    const missing = createFileStore({ path: join(path, "missing") });
    for (const call of [
      () => missing.probe({ signal, write: false }),
      () => missing.put("a", [], { signal }),
      () => missing.head("a", { signal }),
      () => Array.fromAsync(missing.list("", { signal })),
      () => missing.sweep("", { signal, before: new Date() }),
    ]) {
      const error = await rejection(call(), "NotFound");
      assert.match(error.message, /directory .*missing does not exist/);
    }
    await writeFile(join(path, "file"), "");
    await rejection(
      createFileStore({ path: join(path, "file") }).probe({ signal, write: false }),
      "InvalidConfiguration",
    );
  });

  it("may be a symbolic link itself and follows none below", async () => {
    const outside = join(directory.path, "outside");
    await mkdir(join(outside, "deep"), { recursive: true });
    await writeFile(join(outside, "secret"), "secret");
    await symlink(outside, join(path, "folder"));
    await symlink(join(outside, "secret"), join(path, "object"));
    assert.deepEqual(await names(), []);
    for (const name of ["object", "folder/secret"]) {
      assert.equal(await store.head(name, { signal }), undefined);
      await rejection(Array.fromAsync(store.get(name, { signal })), "NotFound");
      await store.remove(name, { signal });
    }
    await rejection(put("object"), "AlreadyExists");
    await rejection(put("folder/new"), "InvalidConfiguration");
    await rejection(put("folder/deep/er/new"), "InvalidConfiguration");
    assert.deepEqual((await readdir(outside, { recursive: true })).sort(), ["deep", "secret"]);

    await symlink(path, join(directory.path, "link"));
    const linked = createFileStore({ path: join(directory.path, "link") });
    await linked.put("a", [Buffer.from("x")], { signal });
    assert.deepEqual(await names(), ["a"]);
  });

  it("refuses an object below an object", async () => {
    await put("a");
    await rejection(put("a/b"), "InvalidConfiguration");
    assert.equal(await store.head("a/b", { signal }), undefined);
  });

  it("ignores files that it did not put there", async () => {
    await put("a/b");
    await writeFile(join(path, "a/.b~0123456789abcdef.part"), "half");
    await writeFile(join(path, "a/notes of mine.txt"), "");
    await writeFile(join(path, "ä"), "");
    await mkdir(join(path, "empty"));
    assert.deepEqual(await names(), ["a/b"]);
    assert.equal(await store.sweep("", { signal, before: new Date(Date.now() + 60_000) }), 1);
    assert.deepEqual((await readdir(path, { recursive: true })).sort(), [
      "a",
      "a/b",
      "a/notes of mine.txt",
      "empty",
      "ä",
    ]);
  });

  it("sweeps temporary files by the time of their last write", async () => {
    const left = join(path, ".a~0123456789abcdef.part");
    await writeFile(left, "half");
    const hourAgo = new Date(Date.now() - 3_600_000);
    await utimes(left, hourAgo, hourAgo);
    assert.equal(await store.sweep("", { signal, before: new Date(hourAgo.getTime() - 1_000) }), 0);
    assert.equal(await store.sweep("", { signal, before: new Date(hourAgo.getTime() + 1_000) }), 1);
  });

  it("a put whose temporary file is swept fails with a retryable error", async () => {
    async function* swept() {
      yield Buffer.from("content");
      assert.equal(await store.sweep("", { signal, before: new Date(Date.now() + 60_000) }), 1);
    }
    const error = await rejection(store.put("a", swept(), { signal }), "StoreFailed");
    assert.equal(error.permanent, false);
    assert.deepEqual(await readdir(path), []);
  });

  it("fails to read a file that is truncated meanwhile", async () => {
    await put("a", randomBytes(5_000_000));
    const reading = async () => {
      for await (const _ of store.get("a", { signal })) await truncate(join(path, "a"), 1_500_000);
    };
    await rejection(reading(), "VerificationFailed");
  });

  it("does not overwrite an object that another writer has put meanwhile", async () => {
    async function* overtaken() {
      yield Buffer.from("content");
      await writeFile(join(path, "a"), "another writer's");
    }
    await rejection(store.put("a", overtaken(), { signal }), "AlreadyExists");
    assert.equal(await readFile(join(path, "a"), "utf8"), "another writer's");
    assert.deepEqual(await readdir(path), ["a"]);
  });

  it("without permission is Unauthorized", {
    skip: isRoot && "root ignores the mode of a directory",
  }, async () => {
    await chmod(path, 0o500);
    await rejection(put("a"), "Unauthorized");
    await chmod(path, 0o700);
  });

  it("on a full or read-only file system a put fails with the reason and leaves nothing", async (t) => {
    const disk = await mountTmpfs(path, "size=1m");
    if ("reason" in disk) return t.skip(disk.reason);
    await using _ = disk;
    await put("small", randomBytes(1_000));
    const full = await rejection(put("large/a", randomBytes(2_000_000)), "StoreFailed");
    assert.equal(full.permanent, false);
    assert.match(full.hint ?? "", /free some space/);
    assert.deepEqual(await names(), ["small"]);
    await put("large/b", randomBytes(500_000));
    assert.equal((await run("mount", ["-o", "remount,ro", path])).code, 0);
    const readOnly = await rejection(put("b"), "Unauthorized");
    assert.match(readOnly.message, /read-only/);
    assert.deepEqual(await names(), ["large/b", "small"]);
  });
});
