import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { parse } from "yaml";
import { etcdBackup, etcdBackupPath, etcdFlags } from "../../harness/etcd-backup.ts";
import { cleanEnvironment } from "../../harness/environment.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { run, tempDir } from "../../harness/process.ts";
import { fill } from "../../support/sample-data.ts";
import { noTerminal, onTerminal, screen } from "../../support/terminal.ts";

let cluster: EtcdCluster;
let dir: Awaited<ReturnType<typeof tempDir>>;
let store: string[];
let name: string;

/** Every verb that has a result, with what it needs. */
function verbs(): Record<string, string[]> {
  return {
    members: ["members", ...etcdFlags(cluster)],
    save: ["save", ...store, ...etcdFlags(cluster)],
    list: ["list", ...store],
    status: ["status", name, ...store],
    verify: ["verify", name, ...store],
  };
}

before(async () => {
  cluster = await startEtcd();
  await fill(cluster, 3);
  dir = await tempDir("output");
  store = ["--store", `file://${dir.path}`, "--cluster-name", "lab"];
  const { code, stdout, stderr } = await etcdBackup(["save", ...store, ...etcdFlags(cluster), "-o", "json"]);
  assert.equal(code, 0, stderr);
  name = JSON.parse(stdout).name;
});
after(async () => {
  await dir[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
});

const keys: Record<string, string[]> = {
  members: ["clusterID", "snapshotFrom", "reason", "withoutQuorum", "members"],
  save: [
    ...["formatVersion", "name", "cluster", "run", "member", "snapshot", "stored", "hashKV", "tool"],
    ...["url", "manifestUrl"],
  ],
  list: ["name", "clusterName", "time", "revision", "manifest", "url"],
  status: ["hash", "revision", "totalKey", "totalSize", "version", "pairs", "liveKeys"],
  verify: ["subject", "restorable", "checks"],
};

const headers: Record<string, RegExp> = {
  members: /^ +NAME +ENDPOINT/,
  save: /^HASH +REVISION +TOTAL KEYS +TOTAL SIZE +VERSION\n/,
  list: /^BACKUP +CLUSTER +REVISION +SIZE +STORED +ETCD +AGE +STATE\n/,
  status: /^HASH +REVISION +TOTAL KEYS +TOTAL SIZE +VERSION\n/,
  verify: /^CHECK +RESULT +DETAIL\n/,
};

for (const verb of ["members", "save", "list", "status", "verify"]) {
  test(`${verb} prints its result, and nothing else, as JSON, as YAML and as a table`, async () => {
    const args = verbs()[verb] ?? [];
    const ran = await Promise.all(
      ["json", "yaml", "table"].map((format) => etcdBackup([...args, "-o", format])),
    );
    for (const { code, stderr } of ran) assert.equal(code, 0, stderr);
    const [json, yaml, table] = ran.map(({ stdout }) => stdout);
    const fromJson: unknown = JSON.parse(json ?? "");
    const fromYaml: unknown = parse(yaml ?? "");
    for (const value of [fromJson, fromYaml]) {
      const result: unknown = verb === "list" ? (value as unknown[])[0] : value;
      assert.deepEqual(Object.keys(result as object), keys[verb]);
    }
    if (verb === "status" || verb === "verify") assert.deepEqual(fromYaml, fromJson);
    assert.match(table ?? "", headers[verb] ?? /^$/);
    assert.ok(table?.split("\n").every((line) => line === line.trimEnd()));
    for (const { stdout, stderr } of ran)
      assert.doesNotMatch(stdout + stderr, /\u001b/, "no escapes in a pipe");
  });

  test(`${verb} --quiet leaves stderr empty`, async () => {
    const args = verbs()[verb] ?? [];
    // A flag of the program stands before the verb or after it.
    const { code, stdout, stderr } = await etcdBackup(
      verb === "save" ? ["-q", ...args] : [...args, "--quiet"],
    );
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "");
    assert.notEqual(stdout, "");
  });
}

test("status -o json begins with etcdutl's keys, in its order, with its values", async () => {
  const file = join(dir.path, "status.db");
  assert.equal((await etcdBackup(["fetch", name, ...store, "-o", file])).code, 0);
  const theirs = await cluster.etcdutl(["snapshot", "status", file, "-w", "json"]);
  const { stdout } = await etcdBackup(["status", file, "-o", "json"]);
  const common = Object.entries(JSON.parse(stdout)).slice(0, 5);
  assert.equal(JSON.stringify(Object.fromEntries(common)), theirs.trim());
});

test("save tells on stderr who is read and how the members compare; errors go there, too", async () => {
  const { stderr } = await etcdBackup(verbs()["save"] ?? []);
  assert.match(stderr, /^member +m0 at http:\/\/127\.0\.0\.1:\d+: the only usable member, leader\n/);
  assert.match(stderr, /^HashKV +equal on m0 at revision \d+$/m);
  const failed = await etcdBackup(["status", join(dir.path, "none.db"), "-q"]);
  assert.equal(failed.code, 3);
  assert.equal(failed.stdout, "");
  assert.match(failed.stderr, /^etcd-backup: .*there is no such file, .*\n {2}hint: /);
});

test("fetch prints nothing on stdout; --quiet silences it", async () => {
  const file = join(dir.path, "quiet.db");
  const loud = await etcdBackup(["fetch", name, ...store, "-o", file]);
  assert.equal(loud.stdout, "");
  assert.match(loud.stderr, /etcdutl snapshot restore/);
  const quiet = await etcdBackup(["fetch", name, ...store, "-o", file, "--force", "--quiet"]);
  assert.deepEqual(quiet, { code: 0, stdout: "", stderr: "" });
});

test("an error has a stack only with --log-level debug", async () => {
  const args = ["status", join(dir.path, "none.db")];
  assert.doesNotMatch((await etcdBackup(args)).stderr, /\n +at /);
  assert.match((await etcdBackup(["--log-level", "debug", ...args])).stderr, /\n +at /);
});

test("readers that go away, as head does, are no error", async () => {
  for (const verb of ["list", "members", "save"]) {
    for (const closed of ["stdout", "stderr"] as const) {
      const child = spawn(etcdBackupPath, verbs()[verb] ?? [], { env: cleanEnvironment() });
      child[closed].destroy();
      const other = text(closed === "stdout" ? child.stderr : child.stdout);
      const [code] = await once(child, "close");
      assert.equal(code, 0, `${verb} with ${closed} closed: ${await other}`);
      if (closed === "stdout" && verb !== "save") assert.equal(await other, "");
    }
  }
});

test("a verdict keeps its exit code when nobody reads it", async () => {
  const file = join(dir.path, "damaged.db");
  assert.equal((await etcdBackup(["fetch", name, ...store, "-o", file])).code, 0);
  const bytes = await readFile(file);
  await writeFile(file, bytes.fill(0, 8192, 12_288));
  const child = spawn(etcdBackupPath, ["verify", file], { env: cleanEnvironment() });
  child.stdout.destroy();
  child.stderr.resume();
  const [code] = await once(child, "close");
  assert.equal(code, 4);
});

test("a result that cannot be written is an error that says so", async (t) => {
  if (
    await access("/dev/full").then(
      () => false,
      () => true,
    )
  )
    return t.skip("there is no /dev/full here");
  const { code, stderr } = await run("sh", [
    "-c",
    '"$0" "$@" > /dev/full',
    etcdBackupPath,
    ...(verbs()["list"] ?? []),
  ]);
  assert.equal(code, 1);
  assert.match(stderr, /^etcd-backup: the result could not be written: ENOSPC/);
});

test("Ctrl-C while a reader is waited for ends it at once", async () => {
  const copies = await manyBackups();
  const child = spawn(etcdBackupPath, [...(verbs()["list"] ?? []), "-o", "json"], {
    env: cleanEnvironment(),
  });
  child.stderr.resume();
  const exited = once(child, "exit");
  await once(child.stdout, "readable");
  // The rest waits for a reader who does not come.
  child.kill("SIGINT");
  const [code] = await exited;
  child.stdout.destroy();
  await Promise.all(copies.map((path) => rm(path)));
  assert.equal(code, 130);
});

/** As many manifests as make a listing larger than any pipe holds. */
async function manyBackups(): Promise<string[]> {
  const original = JSON.parse(await readFile(join(dir.path, "lab", `${name}.json`), "utf8"));
  const copies: string[] = [];
  for (let i = 0; i < 150; i += 1) {
    const id = i.toString(16).padStart(12, "0");
    const copy = { ...original, name: name.replace(/[^-]*$/, id), run: { ...original.run, id } };
    const path = join(dir.path, "lab", `${copy.name}.json`);
    await writeFile(path, JSON.stringify(copy));
    copies.push(path);
  }
  return copies;
}

test("a listing that a pipe cannot hold arrives whole, however slow its reader", async () => {
  const copies = await manyBackups();
  const child = spawn(etcdBackupPath, [...(verbs()["list"] ?? []), "-o", "json"], {
    env: cleanEnvironment(),
  });
  child.stderr.resume();
  let output = "";
  for await (const chunk of child.stdout.setEncoding("utf8")) {
    output += String(chunk);
    await delay(1);
  }
  await Promise.all(copies.map((path) => rm(path)));
  assert.ok(output.length > 200_000, `${output.length}`);
  assert.ok(JSON.parse(output).length > 150);
});

test("on a terminal", async (t) => {
  const reason = await noTerminal();
  if (reason !== undefined) return t.skip(reason);
  const save = [etcdBackupPath, ...(verbs()["save"] ?? [])];

  await t.test("progress is one live line that is gone in the end, no wider than the terminal", async () => {
    for (const columns of [120, 24]) {
      const { code, written } = await onTerminal(save, { columns });
      assert.equal(code, 0, written);
      const drawn = [...written.matchAll(/\r\u001b\[K(snapshot[^\r\n]*)/g)].map(([, line = ""]) => line);
      assert.ok(drawn.length > 0, JSON.stringify(written));
      for (const line of drawn) assert.ok(line.length < columns, line);
      assert.match(drawn[0] ?? "", /^snapshot +\d+% {2}/);
      const seen = screen(written);
      assert.ok(!seen.some((line) => line.startsWith("snapshot")), seen.join("\n"));
      assert.ok(
        seen.some((line) => line.startsWith("member ")),
        seen.join("\n"),
      );
      assert.match(seen.join("\n"), /^HASH +REVISION/m);
    }
  });

  await t.test("a terminal that does not know its width gets the whole line", async () => {
    const { written } = await onTerminal(save, { columns: 0 });
    const [, line = ""] = /\r\u001b\[K(snapshot[^\r\n]*)/.exec(written) ?? [];
    assert.match(line, /% {2}.* of .* MB/);
  });

  await t.test("TERM=dumb gets plain lines, NO_COLOR no color", async () => {
    const dumb = await onTerminal(save, { columns: 80, env: { TERM: "dumb" } });
    assert.equal(dumb.code, 0);
    assert.ok(!dumb.written.includes("\u001b"), JSON.stringify(dumb.written));
    const plain = await onTerminal(save, { columns: 80, env: { NO_COLOR: "1" } });
    // oxlint-disable-next-line no-control-regex -- the escape is what is looked for
    assert.doesNotMatch(plain.written, /\u001b\[[0-9;]*m/);
  });

  await t.test("--quiet draws nothing", async () => {
    const { written } = await onTerminal([...save, "--quiet"], { columns: 80 });
    assert.ok(!written.includes("\u001b"), JSON.stringify(written));
    assert.match(written, /^HASH/);
  });
});
