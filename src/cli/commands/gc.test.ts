import assert from "node:assert/strict";
import { mkdir, mkdtempDisposable, readdir, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { putClaim } from "../../backup/catalog/claim.ts";
import { OperatorError } from "../../core/errors.ts";
import { openStore } from "../../store/open.ts";
import { parseStoreUrl } from "../../store/url.ts";
import { build } from "../program.ts";

const hour = 3_600_000;
const { signal } = new AbortController();

interface Ran {
  error: unknown;
  stdout: string;
  stderr: string;
}

async function gc(args: string[], now = new Date()): Promise<Ran> {
  const written = { stdout: "", stderr: "" };
  const context = {
    stdout: { write: (text: string) => (written.stdout += text) },
    stderr: { write: (text: string) => (written.stderr += text) },
    env: {},
    signal,
    now: () => now,
  };
  const error: unknown = await build(context)
    .parseAsync(["gc", ...args], { from: "user" })
    .then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
  return { error, ...written };
}

const old = {
  data: "prod/20260820T120000Z-abcd.db.zst",
  upload: "prod/.20260820T120000Z-abcd1.db~0123456789abcdef.part",
  lab: "lab/20260820T120000Z-abcd.db",
  probe: ".probe-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
};
const rest = {
  manifest: "prod/20260819T120000Z-r00000000000000000042-abcd2.json",
  data: "prod/20260819T120000Z-abcd2.db",
  strange: "prod/notes.txt",
};
const young = "prod/20260820T130000Z-abcd.db";

/** A directory with orphans of 26 hours, one of 24 hours, and what is no orphan. */
async function world() {
  const dir = await mkdtempDisposable(join(tmpdir(), "gc-"));
  const url = `file://${dir.path}`;
  const put = async (name: string, hours: number) => {
    const path = join(dir.path, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, "x".repeat(20));
    const time = new Date(Date.now() - hours * hour);
    await utimes(path, time, time);
  };
  for (const name of [...Object.values(old), ...Object.values(rest)]) await put(name, 26);
  await put(young, 24);
  return {
    store: ["--store", url],
    async files(): Promise<string[]> {
      const entries = await readdir(dir.path, { recursive: true, withFileTypes: true });
      const paths = entries.flatMap((entry) => (entry.isFile() ? [join(entry.parentPath, entry.name)] : []));
      const names = paths.map((path) => path.slice(dir.path.length + 1));
      return names.filter((name) => !name.includes("/claim/")).toSorted();
    },
    async hold(clusterName: string): Promise<void> {
      await using store = await openStore(parseStoreUrl(url), { env: {} });
      const writer = { id: "w1", who: "EtcdBackupStore ns/main" };
      const base = {
        number: 1,
        lineage: [{ id: "cafe", number: 0 }],
        since: "2026-08-20T12:00:00Z",
        reason: "r",
      };
      await putClaim(store, clusterName, { ...base, writer }, signal);
    },
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

const all = [...Object.values(old), ...Object.values(rest), young].toSorted();
const without = (...gone: string[]) => all.filter((name) => !gone.includes(name));

describe("gc", () => {
  it("shows with --dry-run what it would remove and why, and neither removes nor writes anything", async () => {
    await using at = await world();
    const { error, stdout } = await gc([...at.store, "--dry-run"]);
    assert.equal(error, undefined);
    const [header = "", ...lines] = stdout.trimEnd().split("\n");
    assert.match(header, /^OBJECT +AGE +SIZE +WHY$/);
    assert.deepEqual(
      lines.map((line) => line.replaceAll(/ {2,}/g, "  ")),
      [
        "prod/20260820T120000Z-abcd1.db  26h  20 B  unfinished upload",
        `${old.lab}  26h  20 B  data without a manifest: its run did not finish`,
        `${old.data}  26h  20 B  data without a manifest: its run did not finish`,
        `${old.probe}  26h  20 B  probe of a store that was not removed`,
        "4 to remove, 80 B; nothing was removed (--dry-run)",
      ],
    );
    assert.deepEqual(await at.files(), all);
  });

  it("removes the same, and keeps backups, other names and what may be in flight", async () => {
    await using at = await world();
    const { error, stdout } = await gc([...at.store, "-o", "json"]);
    assert.equal(error, undefined);
    const { objects } = JSON.parse(stdout) as { objects: { object: string; kind: string; size: number }[] };
    assert.deepEqual(
      objects.map(({ kind, size }) => [kind, size]),
      [
        ["UnfinishedUpload", 20],
        ["DataWithoutManifest", 20],
        ["DataWithoutManifest", 20],
        ["Probe", 20],
      ],
    );
    assert.deepEqual(await at.files(), without(...Object.values(old)));
    assert.match((await gc(at.store)).stderr, /^nothing in file:.* is to be removed\n$/);
  });

  it("keeps what is younger by the store's clock, when the clock of the host is ahead", async () => {
    await using at = await world();
    const { error } = await gc(at.store, new Date(Date.now() + 48 * hour));
    assert.equal(error, undefined);
    assert.ok((await at.files()).includes(young));
  });

  it("removes only in the folder of --cluster-name", async () => {
    await using at = await world();
    const { error } = await gc([...at.store, "--cluster-name", "lab"]);
    assert.equal(error, undefined);
    assert.deepEqual(await at.files(), without(old.lab));
  });

  it("leaves a folder that an operator holds, says so, and is refused there by name", async () => {
    await using at = await world();
    await at.hold("prod");
    const refused = await gc([...at.store, "--cluster-name", "prod"]);
    assert.ok(refused.error instanceof OperatorError, String(refused.error));
    assert.equal(refused.error.code, "FolderClaimed");
    assert.deepEqual(await at.files(), all);
    const { error, stderr } = await gc(at.store);
    assert.equal(error, undefined);
    assert.match(stderr, /^skipped folders that an operator holds, .*: prod\n$/);
    assert.deepEqual(await at.files(), without(old.lab, old.probe));
  });

  for (const olderThan of ["24h", "0h", "1499m", "soon"])
    it(`refuses --older-than ${olderThan} before the store is opened`, async () => {
      const { error } = await gc(["--store", "file:///dev/null/none", "--older-than", olderThan]);
      assert.ok(error instanceof OperatorError, String(error));
      assert.equal(error.code, "Usage");
      assert.match(error.message, /^--older-than .* is (shorter than 25h|not a duration)/);
    });

  for (const olderThan of ["27h", `${"9".repeat(30)}h`])
    it(`removes nothing that is younger than --older-than ${olderThan}`, async () => {
      await using at = await world();
      const { error } = await gc([...at.store, "--older-than", olderThan]);
      assert.equal(error, undefined);
      assert.deepEqual(await at.files(), all);
    });
});
