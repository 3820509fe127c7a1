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
import { within } from "../../support/eventually.ts";
import { fill } from "../../support/sample-data.ts";
import { noTerminal, onTerminal, screen } from "../../support/terminal.ts";

let cluster: EtcdCluster;
let dir: Awaited<ReturnType<typeof tempDir>>;
let store: string[];
let name: string;

/** The command line of every verb that prints a result. */
function commandLines(): Record<string, string[]> {
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
    ...["formatVersion", "name", "cluster", "run", "member", "snapshot", "stored", "tool"],
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
  test(`${verb} prints its result and nothing else as JSON, YAML and a table`, async () => {
    const args = commandLines()[verb] ?? [];
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
      assert.doesNotMatch(stdout + stderr, /\u001b/, "no escape sequences in a pipe");
  });

  test(`${verb} --quiet writes nothing to stderr`, async () => {
    const args = commandLines()[verb] ?? [];
    // Flags of the program are accepted before and after the verb.
    const { code, stdout, stderr } = await etcdBackup(
      verb === "save" ? ["-q", ...args] : [...args, "--quiet"],
    );
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "");
    assert.notEqual(stdout, "");
  });
}

test("status -o json begins with the keys and values of etcdutl in its order", async () => {
  const file = join(dir.path, "status.db");
  assert.equal((await etcdBackup(["fetch", name, ...store, "-o", file])).code, 0);
  const fromEtcdutl = await cluster.etcdutl(["snapshot", "status", file, "-w", "json"]);
  const { stdout } = await etcdBackup(["status", file, "-o", "json"]);
  const common = Object.entries(JSON.parse(stdout)).slice(0, 5);
  assert.equal(JSON.stringify(Object.fromEntries(common)), fromEtcdutl.trim());
});

test("save prints the chosen member and the comparison of members to stderr, and errors go there, too", async () => {
  const { stderr } = await etcdBackup(commandLines()["save"] ?? []);
  assert.match(stderr, /^member +m0 at http:\/\/127\.0\.0\.1:\d+: the only usable member, leader\n/);
  assert.match(stderr, /^HashKV +not compared: m0 is the only voting member$/m);
  const failed = await etcdBackup(["status", join(dir.path, "none.db"), "-q"]);
  assert.equal(failed.code, 3);
  assert.equal(failed.stdout, "");
  assert.match(failed.stderr, /^etcd-backup: .*there is no such file, .*\n {2}hint: /);
});

test("fetch prints nothing to stdout, and with --quiet nothing to stderr", async () => {
  const file = join(dir.path, "quiet.db");
  const usual = await etcdBackup(["fetch", name, ...store, "-o", file]);
  assert.equal(usual.stdout, "");
  assert.match(usual.stderr, /etcdutl snapshot restore/);
  const quiet = await etcdBackup(["fetch", name, ...store, "-o", file, "--force", "--quiet"]);
  assert.deepEqual(quiet, { code: 0, stdout: "", stderr: "" });
});

test("an error has a stack trace only with --log-level debug", async () => {
  const args = ["status", join(dir.path, "none.db")];
  assert.doesNotMatch((await etcdBackup(args)).stderr, /\n +at /);
  assert.match((await etcdBackup(["--log-level", "debug", ...args])).stderr, /\n +at /);
});

test("a reader that closes the pipe, as head does, is no error", async () => {
  for (const verb of ["list", "members", "save"]) {
    for (const closed of ["stdout", "stderr"] as const) {
      const child = spawn(etcdBackupPath, commandLines()[verb] ?? [], { env: cleanEnvironment() });
      child[closed].destroy();
      const other = text(closed === "stdout" ? child.stderr : child.stdout);
      const [code] = await within("the exit of the program", once(child, "close"), 60);
      assert.equal(code, 0, `${verb} with ${closed} closed: ${await other}`);
      if (closed === "stdout" && verb !== "save") assert.equal(await other, "");
    }
  }
});

test("verify keeps its exit code when the pipe of its verdict is closed", async () => {
  const file = join(dir.path, "damaged.db");
  assert.equal((await etcdBackup(["fetch", name, ...store, "-o", file])).code, 0);
  const bytes = await readFile(file);
  await writeFile(file, bytes.fill(0, 8192, 12_288));
  const child = spawn(etcdBackupPath, ["verify", file], { env: cleanEnvironment() });
  child.stdout.destroy();
  child.stderr.resume();
  const [code] = await within("the exit of the program", once(child, "close"), 60);
  assert.equal(code, 4);
});

test("a result that cannot be written is an error with exit code 1", async (t) => {
  if (
    await access("/dev/full").then(
      () => false,
      () => true,
    )
  )
    return t.skip("this system has no /dev/full");
  const { code, stderr } = await run("sh", [
    "-c",
    '"$0" "$@" > /dev/full',
    etcdBackupPath,
    ...(commandLines()["list"] ?? []),
  ]);
  assert.equal(code, 1);
  assert.match(stderr, /^etcd-backup: the result could not be written: ENOSPC/);
});

test("Ctrl-C ends the program while it waits for the reader of its output", async () => {
  const copies = await manyBackups();
  const child = spawn(etcdBackupPath, [...(commandLines()["list"] ?? []), "-o", "json"], {
    env: cleanEnvironment(),
  });
  child.stderr.resume();
  const exited = once(child, "exit");
  await within("output of the program", once(child.stdout, "readable"), 60);
  // The pipe is full, and nothing reads the rest.
  child.kill("SIGINT");
  const [code] = await within("the exit of the program", exited, 60);
  child.stdout.destroy();
  await Promise.all(copies.map((path) => rm(path)));
  assert.equal(code, 130);
});

/** Writes so many manifests that a listing is larger than any pipe buffer. Returns their paths. */
async function manyBackups(): Promise<string[]> {
  const original = JSON.parse(await readFile(join(dir.path, "lab", `${name}.json`), "utf8"));
  const copies: string[] = [];
  for (let i = 0; i < 150; i += 1) {
    const id = i.toString(16).padStart(12, "0");
    const object = original.stored.object.replace(/[^-.]*\.db/, `${id}.db`);
    const copy = {
      ...original,
      name: name.replace(/[^-]*$/, id),
      run: { ...original.run, id },
      stored: { ...original.stored, object },
    };
    const path = join(dir.path, "lab", `${copy.name}.json`);
    await writeFile(path, JSON.stringify(copy));
    copies.push(path);
  }
  return copies;
}

test("a listing larger than the pipe buffer arrives complete at a slow reader", async () => {
  const copies = await manyBackups();
  const child = spawn(etcdBackupPath, [...(commandLines()["list"] ?? []), "-o", "json"], {
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
  const save = [etcdBackupPath, ...(commandLines()["save"] ?? [])];

  await t.test("progress is one line, narrower than the terminal and cleared in the end", async () => {
    for (const columns of [120, 24]) {
      const { code, written } = await onTerminal(save, { columns });
      assert.equal(code, 0, written);
      const drawn = [...written.matchAll(/\r\u001b\[K(snapshot[^\r\n]*)/g)].map(([, line = ""]) => line);
      assert.ok(drawn.length > 0, JSON.stringify(written));
      for (const line of drawn) assert.ok(line.length < columns, line);
      assert.match(drawn[0] ?? "", /^snapshot +\d+% {2}/);
      const lines = screen(written);
      assert.ok(!lines.some((line) => line.startsWith("snapshot")), lines.join("\n"));
      assert.ok(
        lines.some((line) => line.startsWith("member ")),
        lines.join("\n"),
      );
      assert.match(lines.join("\n"), /^HASH +REVISION/m);
    }
  });

  await t.test("a terminal of unknown width gets the whole progress line", async () => {
    const { written } = await onTerminal(save, { columns: 0 });
    const [, line = ""] = /\r\u001b\[K(snapshot[^\r\n]*)/.exec(written) ?? [];
    assert.match(line, /% {2}.* of .* MB/);
  });

  await t.test("TERM=dumb gets no escape sequences, and NO_COLOR no color", async () => {
    const dumb = await onTerminal(save, { columns: 80, env: { TERM: "dumb" } });
    assert.equal(dumb.code, 0);
    assert.ok(!dumb.written.includes("\u001b"), JSON.stringify(dumb.written));
    const plain = await onTerminal(save, { columns: 80, env: { NO_COLOR: "1" } });
    // oxlint-disable-next-line no-control-regex -- the test looks for escape sequences
    assert.doesNotMatch(plain.written, /\u001b\[[0-9;]*m/);
  });

  await t.test("--quiet shows no progress", async () => {
    const { written } = await onTerminal([...save, "--quiet"], { columns: 80 });
    assert.ok(!written.includes("\u001b"), JSON.stringify(written));
    assert.match(written, /^HASH/);
  });
});
