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
import { type ErrorCode, OperatorError } from "../../../src/core/errors.ts";
import { createFileStore } from "../../../src/store/file/file-store.ts";
import { openStore } from "../../../src/store/open.ts";
import { parseStoreUrl } from "../../../src/store/url.ts";
import type { Store } from "../../../src/store/store.ts";
import { run } from "../../harness/process.ts";
import { tempDir } from "../../harness/temp-dir.ts";

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

  it("holds an object as a plain file that only its owner can read, proven by reading it again", async () => {
    const bytes = randomBytes(100_000);
    assert.equal((await put("a/b/c", bytes)).proof, "ReadBack");
    const file = join(path, "a/b/c");
    assert.deepEqual(await readFile(file), bytes);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.equal((await stat(file)).nlink, 1);
    assert.equal((await stat(dirname(file))).mode & 0o777, 0o700);
  });

  it("is opened by its URL, and says it", async () => {
    await using opened = await openStore(parseStoreUrl(`file://${path}/`), { env: {} });
    assert.equal(opened.url, `file://${path}`);
    await opened.put("a", [Buffer.from("x")], { signal });
    assert.deepEqual(await names(), ["a"]);
  });

  it("has to be an absolute path, to exist and to be a directory", async () => {
    assert.throws(() => createFileStore({ path: "backups" }), { code: "InvalidConfiguration" });
    const missing = createFileStore({ path: join(path, "missing") });
    for (const call of [
      () => missing.probe({ signal, write: false }),
      () => missing.put("a", [], { signal }),
      () => missing.head("a", { signal }),
      () => Array.fromAsync(missing.list("", { signal })),
      () => missing.sweep("", { signal, before: new Date() }),
    ]) {
      const error = await failure(call(), "NotFound");
      assert.match(error.message, /directory .*missing does not exist/);
    }
    await writeFile(join(path, "file"), "");
    await failure(
      createFileStore({ path: join(path, "file") }).probe({ signal, write: false }),
      "InvalidConfiguration",
    );
  });

  it("may itself be a symbolic link, but follows none below", async () => {
    const outside = join(directory.path, "outside");
    await mkdir(join(outside, "deep"), { recursive: true });
    await writeFile(join(outside, "secret"), "secret");
    await symlink(outside, join(path, "folder"));
    await symlink(join(outside, "secret"), join(path, "object"));
    assert.deepEqual(await names(), []);
    for (const name of ["object", "folder/secret"]) {
      assert.equal(await store.head(name, { signal }), undefined);
      await failure(Array.fromAsync(store.get(name, { signal })), "NotFound");
      await store.remove(name, { signal });
    }
    await failure(put("object"), "AlreadyExists");
    await failure(put("folder/new"), "InvalidConfiguration");
    await failure(put("folder/deep/er/new"), "InvalidConfiguration");
    assert.deepEqual((await readdir(outside, { recursive: true })).sort(), ["deep", "secret"]);

    await symlink(path, join(directory.path, "link"));
    const linked = createFileStore({ path: join(directory.path, "link") });
    await linked.put("a", [Buffer.from("x")], { signal });
    assert.deepEqual(await names(), ["a"]);
  });

  it("refuses an object below an object", async () => {
    await put("a");
    await failure(put("a/b"), "InvalidConfiguration");
    assert.equal(await store.head("a/b", { signal }), undefined);
  });

  it("passes over what it did not put there", async () => {
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

  it("sweeps a temporary file by its last write, so that a put that is alive is left alone", async () => {
    const left = join(path, ".a~0123456789abcdef.part");
    await writeFile(left, "half");
    const hourAgo = new Date(Date.now() - 3_600_000);
    await utimes(left, hourAgo, hourAgo);
    assert.equal(await store.sweep("", { signal, before: new Date(hourAgo.getTime() - 1_000) }), 0);
    assert.equal(await store.sweep("", { signal, before: new Date(hourAgo.getTime() + 1_000) }), 1);
  });

  it("a put whose temporary file is swept may be made again", async () => {
    async function* swept() {
      yield Buffer.from("ours");
      assert.equal(await store.sweep("", { signal, before: new Date(Date.now() + 60_000) }), 1);
    }
    const error = await failure(store.put("a", swept(), { signal }), "StoreFailed");
    assert.equal(error.permanent, false);
    assert.deepEqual(await readdir(path), []);
  });

  it("tells a file that is cut while it is read from one that ends", async () => {
    await put("a", randomBytes(5_000_000));
    const reading = async () => {
      for await (const _ of store.get("a", { signal })) await truncate(join(path, "a"), 1_500_000);
    };
    await failure(reading(), "VerificationFailed");
  });

  it("does not let another writer's object be overwritten that came while ours was written", async () => {
    async function* overtaken() {
      yield Buffer.from("ours");
      await writeFile(join(path, "a"), "theirs");
    }
    await failure(store.put("a", overtaken(), { signal }), "AlreadyExists");
    assert.equal(await readFile(join(path, "a"), "utf8"), "theirs");
    assert.deepEqual(await readdir(path), ["a"]);
  });

  it("without permission is Unauthorized", { skip: isRoot && "root may write everywhere" }, async () => {
    await chmod(path, 0o500);
    await failure(put("a"), "Unauthorized");
    await chmod(path, 0o700);
  });

  it("on a full or read-only file system says so, and keeps nothing of the put", async (t) => {
    const mount = await run("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", path]);
    if (mount.code !== 0) return t.skip(`a tmpfs cannot be mounted here: ${mount.stderr.trim()}`);
    try {
      await put("small", randomBytes(1_000));
      const full = await failure(put("large/a", randomBytes(2_000_000)), "StoreFailed");
      assert.equal(full.permanent, false);
      assert.match(full.hint ?? "", /free some space/);
      assert.deepEqual(await names(), ["small"]);
      await put("large/b", randomBytes(500_000));
      assert.equal((await run("mount", ["-o", "remount,ro", path])).code, 0);
      const readOnly = await failure(put("b"), "Unauthorized");
      assert.match(readOnly.message, /read-only/);
      assert.deepEqual(await names(), ["large/b", "small"]);
    } finally {
      await run("umount", [path]);
    }
  });
});

async function failure(promise: Promise<unknown>, code: ErrorCode): Promise<OperatorError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof OperatorError, String(error));
    assert.equal(error.code, code, error.message);
    return error;
  }
  assert.fail(`it succeeded, where ${code} was expected`);
}
