import assert from "node:assert/strict";
import { chmod, cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { etcdBackup, etcdBackupPath, etcdFlags } from "../../harness/etcd-backup.ts";
import { originalEnvironment } from "../../harness/environment.ts";
import { startEtcd } from "../../harness/etcd-cluster.ts";
import { onPath } from "../../harness/executable.ts";
import { run, tempDir } from "../../harness/process.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const packageJson: { version: string } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
const { version } = packageJson;

const verbs: Record<string, string[]> = {
  members: [
    "--endpoints",
    "--cacert",
    "--cert",
    "--key",
    "--server-name",
    "--user",
    "--password",
    "--output",
  ],
  save: [
    ...["--store", "--cluster-name", "--compression", "--hashkv", "--read-back", "--output"],
    ...["--endpoints", "--cacert", "--cert", "--key", "--user", "--password", "--command-timeout"],
    ...["--prefer", "--member", "--max-lag", "--allow-without-quorum"],
  ],
  list: ["--store", "--cluster-name", "--output"],
  status: ["--store", "--cluster-name", "--output", "<backup>", "latest"],
  verify: ["--store", "--cluster-name", "--output", "<backup>"],
  fetch: ["--store", "--cluster-name", "--output", "--force", "<backup>"],
  operator: ["--kubeconfig", "--watch-namespaces", "--max-concurrent-backups", "--listen"],
};

test("--version prints the package's version, and --help names every verb and global flag", async () => {
  for (const flag of ["--version", "-V"])
    assert.deepEqual(await etcdBackup([flag]), { code: 0, stdout: `${version}\n`, stderr: "" });
  const { code, stdout, stderr } = await etcdBackup(["--help"]);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  for (const name of [...Object.keys(verbs), "--quiet", "--log-level"])
    assert.ok(stdout.includes(name), name);
});

test("the help of every verb goes to stdout, names its flags and shows no secret of the environment", async () => {
  const env = {
    ETCDCTL_USER: "root:hunter2",
    ETCDCTL_PASSWORD: "hunter2",
    ETCDCTL_ENDPOINTS: "https://a:2379",
  };
  for (const [verb, flags] of Object.entries(verbs)) {
    const { code, stdout, stderr } = await etcdBackup([verb, "--help"], env);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" }, verb);
    for (const flag of flags) assert.ok(stdout.includes(flag), `${verb} ${flag}`);
    assert.doesNotMatch(stdout, /hunter2/, verb);
  }
});

test("an invalid command line exits with code 2 and refers to the help on stderr", async () => {
  for (const args of [
    [],
    ["backup"],
    ["save", "--frobnicate"],
    ["list", "-o", "xml"],
    ["--log-level", "loud", "list"],
  ]) {
    const { code, stdout, stderr } = await etcdBackup(args);
    assert.equal(code, 2, args.join(" "));
    assert.equal(stdout, "");
    assert.match(stderr, args.length === 0 ? /Usage: etcd-backup/ : /^etcd-backup: .*\n\(see --help\)/);
  }
});

test("the program starts by relative and absolute links, from another directory and by PATH", async () => {
  await using dir = await tempDir("start with spaces");
  const folder = join(dir.path, "bin");
  await mkdir(folder);
  await symlink(etcdBackupPath, join(dir.path, "absolute"));
  await symlink("../absolute", join(folder, "etcd-backup"));
  for (const [command, options] of [
    [join(dir.path, "absolute"), {}],
    [join(folder, "etcd-backup"), { cwd: "/" }],
    ["./bin/etcd-backup", { cwd: dir.path }],
    ["etcd-backup", { cwd: dir.path, env: { PATH: `${folder}:${process.env["PATH"]}` } }],
  ] as const) {
    const started = await run(command, ["--version"], options);
    assert.deepEqual(started, { code: 0, stdout: `${version}\n`, stderr: "" }, command);
  }
});

/** Copies what the program needs to start, without the Node.js of the checkout. Returns the path of the program. */
async function copyProgram(directory: string): Promise<string> {
  for (const part of ["bin", "src", "package.json"])
    await cp(join(root, part), join(directory, part), { recursive: true });
  const modules = join(directory, "node_modules");
  await mkdir(modules);
  await symlink(join(root, "node_modules", "commander"), join(modules, "commander"));
  return join(directory, "bin", "etcd-backup");
}

/** A PATH with the tools that the start script needs and a `node` that claims to be of this version; without a version no `node`. */
async function pathWith(directory: string, nodeVersion: string | undefined): Promise<string> {
  await mkdir(directory);
  for (const tool of ["dirname", "readlink", "env"]) {
    const [path] = await onPath(tool, process.env["PATH"]);
    if (path !== undefined) await symlink(path, join(directory, tool));
  }
  if (nodeVersion === undefined) return directory;
  const preload = join(directory, "version.cjs");
  await writeFile(
    preload,
    `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${nodeVersion}" } });\n`,
  );
  const node = join(directory, "node");
  await writeFile(
    node,
    `#!/bin/sh\n[ "$1" = -v ] && echo v${nodeVersion} && exit\nexec '${process.execPath}' --require '${preload}' "$@"\n`,
  );
  await chmod(node, 0o755);
  return directory;
}

test("a Node.js that is too old is refused, and the error names the version", async (t) => {
  await using dir = await tempDir("node");
  const program = await copyProgram(dir.path);
  const started = async (nodeVersion: string | undefined) =>
    run(program, ["--version"], {
      wholeEnv: { PATH: await pathWith(join(dir.path, `path-${nodeVersion}`), nodeVersion) },
    });
  for (const old of ["20.11.0", "22.22.1", "24.11.9", "9.99.99"]) {
    await t.test(`${old} is too old`, async () => {
      const { code, stdout, stderr } = await started(old);
      assert.deepEqual({ code, stdout }, { code: 3, stdout: "" });
      assert.match(
        stderr,
        new RegExp(`^etcd-backup: Node.js 24.12 or newer is needed; .*/node is v${old}\n$`),
      );
    });
  }
  for (const fine of ["24.12.0", "24.100.0", "25.0.0", "100.0.0"]) {
    await t.test(`${fine} is new enough`, async () => {
      assert.deepEqual(await started(fine), { code: 0, stdout: `${version}\n`, stderr: "" });
    });
  }
  await t.test("without Node.js the error says that there is none on PATH", async () => {
    const { code, stderr } = await started(undefined);
    assert.equal(code, 3);
    assert.equal(stderr, "etcd-backup: Node.js 24.12 or newer is needed, and none is on PATH\n");
  });
});

test("the packed package installs without development dependencies and works", async (t) => {
  await using dir = await tempDir("installed");
  // The user's npm and its cache, without the variables that `npm test` has set.
  const own = Object.entries(originalEnvironment()).filter(([name]) => !/^npm_|^NODE_ENV$/i.test(name));
  const env = Object.fromEntries(own);
  const npm = (args: string[], cwd: string) => run("npm", args, { cwd, wholeEnv: env });
  const packed = await npm(["pack", "--silent", "--ignore-scripts", "--pack-destination", dir.path], root);
  assert.equal(packed.code, 0, packed.stderr);
  const tarball = join(dir.path, packed.stdout.trim().split("\n").at(-1) ?? "");
  const listed = await run("tar", ["-tzf", tarball]);
  assert.match(listed.stdout, /^package\/src\/main\.ts$/m);
  assert.match(listed.stdout, /^package\/LICENSE$/m);
  assert.doesNotMatch(listed.stdout, /\.test\.ts|\.fixture\.ts|\.contract\.ts|^package\/test\//m);

  const project = join(dir.path, "project");
  await mkdir(project);
  await writeFile(join(project, "package.json"), '{ "name": "project", "private": true }\n');
  const quick = ["--prefer-offline", "--fetch-retries=0", "--fetch-timeout=60000"];
  const install = ["install", "--omit=dev", ...quick, "--no-audit", "--no-fund", tarball];
  const installed = await npm(install, project);
  const unreachable = /.*(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH).*/.exec(installed.stderr);
  if (installed.code !== 0 && unreachable !== null)
    return t.skip(`a dependency is neither in npm's cache nor reachable: ${unreachable[1]}`);
  assert.equal(installed.code, 0, installed.stderr);

  const program = join(project, "node_modules", ".bin", "etcd-backup");
  const path = { PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` };
  assert.deepEqual(await run(program, ["--version"], { env: path }), {
    code: 0,
    stdout: `${version}\n`,
    stderr: "",
  });
  await using cluster = await startEtcd();
  await cluster.etcdctl(["put", "a", "1"]);
  const store = join(dir.path, "store");
  await mkdir(store);
  const flags = ["--store", `file://${store}`, "--cluster-name", "lab"];
  const saved = await run(program, ["save", ...flags, ...etcdFlags(cluster)], { env: path, cwd: dir.path });
  assert.equal(saved.code, 0, saved.stderr);
  const verified = await run(program, ["verify", "latest", ...flags], { env: path, cwd: "/" });
  assert.equal(verified.code, 0, verified.stderr);
  const help = await run(program, ["operator", "--help"], { env: path });
  assert.equal(help.code, 0, help.stderr);
  // The S3 client and the controllers are loaded on demand: this checks that the package contains them.
  const listing = await run(program, ["list", "--store", "s3://bucket?endpoint=http://127.0.0.1:1"], {
    env: { ...path, AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" },
  });
  assert.match(listing.stderr, /connection refused/);
  const operator = await run(program, ["operator", "--kubeconfig", "/nowhere"], { env: path });
  assert.match(operator.stderr, /\/nowhere/);
});
