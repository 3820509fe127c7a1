import assert from "node:assert/strict";
import { chmod, chown, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { after, before, describe, it, type TestContext } from "node:test";
import { bytes } from "../../../src/core/human.ts";
import { binary } from "../../harness/binaries.ts";
import { etcdBackup, etcdBackupJson, etcdFlags } from "../../harness/etcd-backup.ts";
import { startEtcd } from "../../harness/etcd-cluster.ts";
import { run, tempDir } from "../../harness/process.ts";
import { cutShort, flipByte } from "../../support/damage.ts";
import { filesBelow, treeOf } from "../../support/files.ts";
import { fill } from "../../support/sample-data.ts";

const three = "m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380";

let directory: { path: string } & AsyncDisposable;
let etcdutl: string;
let etcdctl34: string;
/** Plain snapshots. */
const files = { "3.4": "", "3.6": "" };
/** A store with one backup of etcd 3.6, and one of 3.4. */
const stores = { "3.4": "", "3.6": "" };

before(async () => {
  directory = await tempDir("refusals");
  [etcdutl, etcdctl34] = await Promise.all([binary("etcdutl", "3.6"), binary("etcdctl", "3.4")]);
  for (const minor of ["3.4", "3.6"] as const) {
    await using cluster = await startEtcd({ minor });
    await fill(cluster, 3);
    // Half of it can be compressed well.
    for (let i = 0; i < 4; i += 1)
      await cluster.etcdctl(["put", `/zeros/${i}`], { input: "0".repeat(1_400_000) });
    const folder = join(directory.path, `store-${minor}`);
    await mkdir(folder);
    stores[minor] = `file://${folder}`;
    await etcdBackupJson([
      ...["save", "--store", stores[minor], "--cluster-name", "lab", "--compression", "none"],
      ...etcdFlags(cluster),
    ]);
    files[minor] = join(directory.path, `${minor}.db`);
    const fetched = await etcdBackup(["fetch", "latest", "--store", stores[minor], "-o", files[minor]]);
    assert.equal(fetched.code, 0, fetched.stderr);
  }
});
after(() => directory[Symbol.asyncDispose]());

interface Refusal {
  /** After `restore`; without `--etcdutl` it is that of 3.6. `{dir}` is a directory of the test's own. */
  args: string[];
  code: number;
  /** All that is on stderr. */
  says: string;
}

/** Runs it, compares every word that a user reads, and proves that nothing below the directory was touched. */
async function refuses(dir: string, { args, code, says }: Refusal): Promise<void> {
  const given = args.map((arg) => arg.replaceAll("{dir}", dir));
  const tool = args.includes("--etcdutl") ? [] : ["--etcdutl", etcdutl];
  const before = await treeOf(dir);
  const ran = await etcdBackup(["restore", ...given, ...tool]);
  const stderr = ran.stderr.replaceAll(dir, "{dir}").replaceAll(/\.restoring-[0-9a-f]+/g, ".restoring-{id}");
  assert.deepEqual({ code: ran.code, stdout: ran.stdout, stderr }, { code, stdout: "", stderr: says });
  assert.deepEqual(await treeOf(dir), before, "nothing was touched");
}

const latest = (minor: "3.4" | "3.6"): string[] => ["latest", "--store", stores[minor]];
const latestName = async (minor: "3.4" | "3.6"): Promise<string> => {
  const list = await etcdBackupJson<{ backups?: { name: string }[] }>(["list", "--store", stores[minor]]);
  return JSON.stringify(list).match(/"name":"([^"]+)"/)?.[1] ?? "";
};

describe("restore refuses a command line that means no cluster, with exit code 2", () => {
  const data = ["--data-dir", "{dir}/data"];
  const cases: Record<string, Omit<Refusal, "code">> = {
    "a name that is not in --initial-cluster": {
      args: ["--name", "m4", "--initial-cluster", three, ...data],
      says: `etcd-backup: --name m4 is not in --initial-cluster, which has m1, m2, m3
  hint: restore each member under a name that all of them know it by
`,
    },
    "no name where there are several": {
      args: ["--initial-cluster", three, ...data],
      says: `etcd-backup: which member is this?
  hint: add --name: m1, m2, m3
`,
    },
    "peer URLs that differ from those in --initial-cluster": {
      args: [
        ...["--name", "m1", "--initial-cluster", three, ...data],
        ...["--initial-advertise-peer-urls", "http://10.0.0.9:2380"],
      ],
      says: `etcd-backup: --initial-advertise-peer-urls http://10.0.0.9:2380 differs from the peer URLs of m1 in --initial-cluster: http://10.0.0.1:2380
  hint: the other members would not know this one: give the same URLs in both
`,
    },
    "one URL for two members": {
      args: ["--name", "m1", "--initial-cluster", "m1=http://a:2380,m2=http://a:2380", ...data],
      says: `etcd-backup: --initial-cluster: http://a:2380 is given to both m1 and m2
  hint: each peer URL belongs to one member
`,
    },
    "a learner": {
      args: ["--learner", "--name", "m1", "--initial-cluster", three, ...data],
      says: `etcd-backup: a restored cluster has voting members only
  hint: restore without --learner, start the cluster, then \`etcdctl member add NAME --learner --peer-urls=…\`
`,
    },
    "no data directory": {
      args: ["--name", "m1", "--initial-cluster", three],
      says: `etcd-backup: no data directory was given
  hint: add --data-dir DIR
`,
    },
    "an empty data directory": {
      args: ["--data-dir", ""],
      says: `etcd-backup: no data directory was given
  hint: add --data-dir DIR
`,
    },
    "all members in one directory": {
      args: ["--all-members", "--initial-cluster", three, "--data-dir-template", "{dir}/data"],
      says: `etcd-backup: --data-dir-template has no {name} in it
  hint: write --data-dir-template '/var/lib/etcd/{name}'
`,
    },
    "all logs in one directory": {
      args: [
        ...["--all-members", "--initial-cluster", three],
        ...["--data-dir-template", "{dir}/{name}", "--wal-dir-template", "{dir}/log"],
      ],
      says: `etcd-backup: --wal-dir-template has no {name} in it
  hint: write --wal-dir-template '/var/lib/etcd-wal/{name}'
`,
    },
    "all members, and one data directory": {
      args: [
        ...["--all-members", "--initial-cluster", three],
        ...["--data-dir-template", "{dir}/{name}", "--data-dir", "{dir}/m1"],
      ],
      says: `etcd-backup: --data-dir cannot be given with --all-members
  hint: remove --data-dir and unset ETCD_DATA_DIR
`,
    },
    "all members of no cluster": {
      args: ["--all-members", "--data-dir-template", "{dir}/{name}"],
      says: `etcd-backup: --all-members needs --initial-cluster
  hint: add --initial-cluster m1=https://…,m2=https://…
`,
    },
    "a template for one member": {
      args: ["--data-dir-template", "{dir}/{name}"],
      says: `etcd-backup: --data-dir-template needs --all-members
  hint: add --all-members, or give --data-dir DIR instead
`,
    },
    "a member's name that leads out of the directory": {
      args: [
        ...["--all-members", "--initial-cluster", "../m1=http://a:2380"],
        ...["--data-dir-template", "{dir}/{name}"],
      ],
      says: `etcd-backup: member name ../m1 cannot be part of a path
  hint: restore this member alone, with --name and --data-dir
`,
    },
    "the log in the data directory": {
      args: [...data, "--wal-dir", "{dir}/data/member/wal"],
      says: `etcd-backup: {dir}/data contains {dir}/data/member/wal
  hint: give each data directory and each WAL directory a path outside the others
`,
    },
    "the log where the data is": {
      args: [...data, "--wal-dir", "{dir}/data"],
      says: `etcd-backup: {dir}/data is given twice
  hint: give each data directory and each WAL directory a path outside the others
`,
    },
    "the log of one member where the data of another is": {
      args: [
        ...["--all-members", "--initial-cluster", "m1=http://a:2380,m1-log=http://b:2380"],
        ...["--data-dir-template", "{dir}/{name}", "--wal-dir-template", "{dir}/{name}-log"],
      ],
      says: `etcd-backup: {dir}/m1-log is given twice
  hint: give each data directory and each WAL directory a path outside the others
`,
    },
    "a bump that is no number": {
      args: [...data, "--bump-revision", "1e9"],
      says: "etcd-backup: --bump-revision 1e9 is not a whole number\n",
    },
  };
  for (const [what, { args, says }] of Object.entries(cases)) {
    it(what, async () => {
      await using dir = await tempDir("refusal");
      await refuses(dir.path, { args: [files["3.6"], ...args], code: 2, says });
    });
  }
});

describe("restore refuses a directory that it could harm, with exit code 3", () => {
  it("data that is there already, whoever's it is", async () => {
    await using dir = await tempDir("refusal");
    const data = join(dir.path, "data");
    await mkdir(join(data, "member", "snap"), { recursive: true });
    await writeFile(join(data, "member", "snap", "db"), "precious");
    const hint = "stop the etcd that uses it and move it away first: mv {dir}/data {dir}/data.old";
    const args = [files["3.6"], "--data-dir", "{dir}/data"];
    await refuses(dir.path, {
      args,
      code: 3,
      says: `etcd-backup: data directory {dir}/data is not empty (member); nothing in it was touched
  hint: ${hint}
`,
    });
    for (const name of ["a", "b", "c"]) await writeFile(join(data, name), "");
    if (process.getuid?.() === 0) await chown(data, 4321, 1234);
    const owner = process.getuid?.() === 0 ? " && install -d -m 700 -o 4321 -g 1234 {dir}/data" : "";
    await refuses(dir.path, {
      args,
      code: 3,
      says: `etcd-backup: data directory {dir}/data is not empty (a, b, c, …); nothing in it was touched
  hint: ${hint}${owner}
`,
    });
  });

  it("one of many that is not empty: none of the others is made", async () => {
    await using dir = await tempDir("refusal");
    await mkdir(join(dir.path, "m3"));
    await writeFile(join(dir.path, "m3", "here"), "");
    await refuses(dir.path, {
      args: [
        files["3.6"],
        "--all-members",
        "--initial-cluster",
        three,
        "--data-dir-template",
        "{dir}/{name}",
      ],
      code: 3,
      says: `etcd-backup: data directory {dir}/m3 is not empty (here); nothing in it was touched
  hint: stop the etcd that uses it and move it away first: mv {dir}/m3 {dir}/m3.old
`,
    });
  });

  it("a file", async () => {
    await using dir = await tempDir("refusal");
    await writeFile(join(dir.path, "data"), "precious");
    await refuses(dir.path, {
      args: [files["3.6"], "--data-dir", "{dir}/data"],
      code: 3,
      says: "etcd-backup: data directory {dir}/data is not a directory\n",
    });
  });

  it("a log that is there already, with the data directory fresh", async () => {
    await using dir = await tempDir("refusal");
    await mkdir(join(dir.path, "log"));
    await writeFile(join(dir.path, "log", "0000000000000000-0000000000000000.wal"), "precious");
    await refuses(dir.path, {
      args: [files["3.6"], "--data-dir", "{dir}/data", "--wal-dir", "{dir}/log"],
      code: 3,
      says: `etcd-backup: WAL directory {dir}/log is not empty (0000000000000000-0000000000000000.wal); nothing in it was touched
  hint: stop the etcd that uses it and move it away first: mv {dir}/log {dir}/log.old
`,
    });
  });

  it("one that cannot be written, and leaves the log directory that it had made already", async (t) => {
    await using dir = await tempDir("refusal");
    const sealed = join(dir.path, "sealed");
    await mkdir(sealed);
    await using _ = await unwritable(sealed);
    const code = process.getuid?.() === 0 ? "EROFS" : "EACCES";
    const hint = "create it for etcd's user, or run this command as root";
    t.diagnostic(`the system says ${code}`);
    for (const [data, says] of [
      [["--data-dir", "{dir}/sealed"], `data directory {dir}/sealed cannot be written: ${code}`],
      [["--data-dir", "{dir}/sealed/new"], `data directory {dir}/sealed/new cannot be created: ${code}`],
      [
        ["--data-dir", "{dir}/new/data", "--wal-dir", "{dir}/sealed/log"],
        `WAL directory {dir}/sealed/log cannot be created: ${code}`,
      ],
    ] as const)
      await refuses(dir.path, {
        args: [files["3.6"], ...data],
        code: 3,
        says: `etcd-backup: ${says}\n  hint: ${hint}\n`,
      });
  });

  it("a disk that is too small for all members together", async (t) => {
    await using dir = await tempDir("refusal");
    const disk = join(dir.path, "disk");
    await mkdir(disk);
    if (!(await mountTmpfs(t, disk, "size=180m"))) return;
    await using _ = unmounting(disk);
    const all = ["--all-members", "--initial-cluster", three];
    const free = "189 MB";
    const size = (await stat(files["3.6"])).size;
    const logs = 3 * 64 * 1024 * 1024;
    await refuses(dir.path, {
      args: [files["3.6"], ...all, "--data-dir-template", "{dir}/disk/{name}"],
      code: 3,
      says: `etcd-backup: not enough disk space: {dir}/disk/m1, {dir}/disk/m2, {dir}/disk/m3 need ${bytes(4 * size + logs)}, and ${free} are free
  hint: free disk space, or choose another disk
`,
    });
    await refuses(dir.path, {
      args: [
        files["3.6"],
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

  it("a disk that turns out to be too small while the snapshot is written, out of a compressed file", async (t) => {
    await using dir = await tempDir("refusal");
    const disk = join(dir.path, "disk");
    await mkdir(disk);
    const small = join(dir.path, "small.db.zst");
    const plain = await readFile(files["3.6"]);
    const packed = zstdCompressSync(plain);
    await writeFile(small, packed);
    const free = 2.2 * packed.length;
    assert.ok(free < plain.length, "it looks as if there were room");
    if (!(await mountTmpfs(t, disk, `size=${Math.ceil(free / 1024)}k`))) return;
    await using _ = unmounting(disk);
    await refuses(dir.path, {
      args: [small, "--data-dir", "{dir}/disk", "--wal-dir", "{dir}/log"],
      code: 3,
      says: `etcd-backup: writing {dir}/disk/.restoring-{id}/snapshot.db: no space is left (ENOSPC)
  hint: free disk space, then restore again
`,
    });
  });

  it("a disk that is full when the tool writes", async (t) => {
    await using dir = await tempDir("refusal");
    const disk = join(dir.path, "disk");
    await mkdir(disk);
    const small = join(dir.path, "small.db.zst");
    const plain = await readFile(files["3.6"]);
    await writeFile(small, zstdCompressSync(plain));
    if (!(await mountTmpfs(t, disk, `size=${Math.ceil(plain.length / 1024) + 1024}k`))) return;
    await using _ = unmounting(disk);
    const before = await treeOf(dir.path);
    const where = ["--data-dir", disk, "--wal-dir", join(dir.path, "log")];
    const { code, stderr } = await etcdBackup(["restore", small, ...where, "--etcdutl", etcdutl]);
    assert.equal(code, 3);
    // Which call of the kernel said so depends on the file system.
    assert.match(
      stderr,
      /\netcd-backup: etcdutl 3\.6\.\d+ snapshot restore of default: write .*\/data\/member\/snap\/db: .*no space left on device\n {2}hint: free disk space, then restore again\n$/,
    );
    assert.deepEqual(await treeOf(dir.path), before, "nothing was touched");
  });
});

describe("restore refuses what the tool cannot do", () => {
  it("a bump by an etcdctl that has none", async () => {
    await using dir = await tempDir("refusal");
    await refuses(dir.path, {
      args: [...latest("3.4"), "--data-dir", "{dir}/data", "--etcdutl", etcdctl34],
      code: 3,
      says: `latest is lab/${await latestName("3.4")}
etcd-backup: etcdctl 3.4.23 (${etcdctl34}) has no --bump-revision: it came with 3.4.27, 3.5.10 and 3.6.0
  hint: use a later patch of the same minor; or --bump-revision 0 if no client watches this cluster, since a client that saw newer revisions misses changes
`,
    });
  });

  it("a snapshot of a later minor: told by the manifest, or by the snapshot itself", async () => {
    await using dir = await tempDir("refusal");
    const old = await binary("etcdutl", "3.5");
    const release = /3\.5\.\d+/.exec((await run(old, ["version"])).stdout)?.[0] ?? "";
    const says = `etcd-backup: the snapshot is of etcd 3.6, which etcdutl ${release} (${old}) and its etcd cannot read
  hint: use an etcdutl of 3.6 or later, and the same etcd after it
`;
    const data = ["--data-dir", "{dir}/data", "--etcdutl", old];
    const name = await latestName("3.6");
    await refuses(dir.path, {
      args: [...latest("3.6"), ...data],
      code: 3,
      says: `latest is lab/${name}\n${says}`,
    });
    await refuses(dir.path, { args: [files["3.6"], ...data], code: 3, says });
  });

  it("no tool: not found, not a program, another program, an etcdctl that lost the verb", async () => {
    await using dir = await tempDir("refusal");
    const file = async (name: string, text: string): Promise<void> => {
      await writeFile(join(dir.path, name), text);
      await chmod(join(dir.path, name), 0o755);
    };
    await file("binary", "#!/no/such/interpreter\n");
    await file("other", "#!/bin/sh\necho hello\n");
    await writeFile(join(dir.path, "text"), "no program");
    await mkdir(join(dir.path, "folder"));
    const etcdctl36 = await binary("etcdctl", "3.6");
    const release = /3\.6\.\d+/.exec((await run(etcdctl36, ["version"])).stdout)?.[0] ?? "";
    const noProgram = (path: string) => `--etcdutl ${path} is not an executable program
  hint: give the path of etcdutl, or of the etcdctl of etcd 3.4
`;
    for (const [path, says] of [
      ["{dir}/nowhere", noProgram("{dir}/nowhere")],
      ["etcdutl-that-nobody-has", noProgram("etcdutl-that-nobody-has")],
      ["{dir}/text", noProgram("{dir}/text")],
      ["{dir}/folder", noProgram("{dir}/folder")],
      [
        "{dir}/binary",
        "{dir}/binary cannot be run: spawn {dir}/binary ENOENT\n  hint: give a program that is built for this machine\n",
      ],
      [
        "{dir}/other",
        `{dir}/other is neither etcdutl nor etcdctl
  hint: give --etcdutl FILE: the one of the etcd version that is to run on the data
`,
      ],
      [
        etcdctl36,
        `etcdctl ${release} (${etcdctl36}) cannot restore a snapshot
  hint: give --etcdutl FILE: etcd 3.6 and later restore with etcdutl
`,
      ],
    ] as const)
      await refuses(dir.path, {
        args: [files["3.6"], "--data-dir", "{dir}/data", "--etcdutl", path],
        code: 2,
        says: `etcd-backup: ${says}`,
      });
  });

  it("a tool that fails midway: with its own last words, and nothing is left of what it had made", async () => {
    await using dir = await tempDir("refusal");
    const fake = join(dir.path, "etcdutl");
    const script = (end: string) => `#!/bin/sh
case "$*" in
  version) echo "etcdutl version: 3.6.99" ;;
  *--help) echo "--initial-cluster-token --bump-revision" ;;
  *)
    for arg; do case $arg in --data-dir=*) mkdir -p "\${arg#*=}/member/snap"; echo half > "\${arg#*=}/member/snap/db" ;; esac; done
    echo '{"level":"info","msg":"restoring snapshot"}' >&2
    ${end}
esac
`;
    const restored = (name: string) => `verified    ${files["3.6"]}, revision 8
restoring   ${name} with etcdutl 3.6.99
`;
    const data = ["--data-dir", "{dir}/data", "--etcdutl", "{dir}/etcdutl"];
    for (const [end, code, says] of [
      [
        "echo 'Error: it rained into the disk' >&2; echo '' >&2; exit 1",
        3,
        "snapshot restore of default failed: it rained into the disk\n",
      ],
      [
        "echo 'Error: write db: no space left on device' >&2; exit 1",
        3,
        `snapshot restore of default: write db: no space left on device
  hint: free disk space, then restore again
`,
      ],
      [
        "exec >&- 2>&-; exit 7",
        3,
        `snapshot restore of default failed: {"level":"info","msg":"restoring snapshot"}\n`,
      ],
      [
        "kill -KILL $$",
        1,
        `snapshot restore of default was killed by SIGKILL
  hint: check the kernel log: the machine may be out of memory
`,
      ],
    ] as const) {
      await writeFile(fake, script(end), { mode: 0o755 });
      await refuses(dir.path, {
        args: [files["3.6"], ...data],
        code,
        says: `${restored("default")}etcd-backup: etcdutl 3.6.99 ${says}`,
      });
    }
  });

  it("a tool that ends well and has made nothing, as one in a container may", async () => {
    await using dir = await tempDir("refusal");
    await writeFile(
      join(dir.path, "etcdutl"),
      `#!/bin/sh
[ "$*" != version ] || echo "etcdutl version: 3.6.99"
echo --initial-cluster-token --bump-revision
`,
      { mode: 0o755 },
    );
    const args = [
      "restore",
      files["3.6"],
      "--data-dir",
      join(dir.path, "data"),
      "--etcdutl",
      join(dir.path, "etcdutl"),
    ];
    const before = await treeOf(dir.path);
    const { code, stderr } = await etcdBackup(args);
    assert.equal(code, 3);
    assert.match(
      stderr,
      /etcd-backup: the restore tool exited with code 0 and did not create .*\/data\/member\n {2}hint: use a tool that runs on this machine and reaches its directories\n$/,
    );
    assert.deepEqual(await treeOf(dir.path), before);
  });
});

describe("restore refuses a backup that does not verify, with exit code 4", () => {
  /** A copy of the store, and its data object. */
  async function copied(dir: string): Promise<{ store: string; name: string; object: string }> {
    const from = new URL(stores["3.6"]).pathname;
    await run("cp", ["-R", from, join(dir, "store")]);
    const object = (await filesBelow(join(dir, "store"))).find((name) => name.endsWith(".db")) ?? "";
    return {
      store: `file://${dir}/store`,
      name: await latestName("3.6"),
      object: join(dir, "store", object),
    };
  }
  const data = ["--data-dir", "{dir}/new/data", "--wal-dir", "{dir}/log"];

  it("a byte of the object that has flipped", async () => {
    await using dir = await tempDir("refusal");
    const { store, name, object } = await copied(dir.path);
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
      etcdutl,
    ]);
    assert.deepEqual({ code, stdout }, { code: 4, stdout: "" });
    assert.match(stderr, new RegExp(`^etcd-backup: ${name} is damaged: .*stored SHA-256: the manifest says`));
    assert.match(stderr, /\n {2}hint: choose another backup: see `etcd-backup list`\n$/);
    assert.deepEqual(await treeOf(dir.path), before, "nothing was touched");
  });

  it("an object that was cut off", async () => {
    await using dir = await tempDir("refusal");
    const { store, name, object } = await copied(dir.path);
    const { size } = await stat(object);
    await cutShort(object);
    await refuses(dir.path, {
      args: [name, "--store", store, ...data],
      code: 4,
      says: `etcd-backup: backup ${name} in file://{dir}/store: object is ${size - 1} bytes, the manifest says ${size}\n`,
    });
  });

  it("a file with a wrong trailer, and one with none", async () => {
    await using dir = await tempDir("refusal");
    const bytes = await readFile(files["3.6"]);
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
      await refuses(dir.path, {
        args: [`{dir}/${name}`, ...data],
        code: 4,
        says: `etcd-backup: {dir}/${name} must not be restored: SHA-256 trailer: ${trailer}
  hint: choose another backup${more}
`,
      });
  });
});

it("a backup that is not there is exit code 3", async () => {
  await using dir = await tempDir("refusal");
  const data = ["--data-dir", "{dir}/data"];
  await refuses(dir.path, {
    args: ["{dir}/no.db", ...data],
    code: 3,
    says: `etcd-backup: {dir}/no.db cannot be read: there is no such file, and it is not a backup's name
  hint: give a snapshot file, a backup's URL, or a backup's name with --store
`,
  });
  await refuses(dir.path, {
    args: ["20200101T000000Z-r00000000000000000004-297ac9c21054", "--store", stores["3.6"], ...data],
    code: 3,
    says: `etcd-backup: there is no backup 20200101T000000Z-r00000000000000000004-297ac9c21054 in ${stores["3.6"]}
  hint: see \`etcd-backup list\`
`,
  });
});

/** Where nobody may write: for root that takes a file system which is mounted so. */
async function unwritable(path: string): Promise<AsyncDisposable> {
  if (process.getuid?.() !== 0) {
    await chmod(path, 0o555);
    return { [Symbol.asyncDispose]: () => chmod(path, 0o755) };
  }
  const { code, stderr } = await run("mount", ["-t", "tmpfs", "-o", "ro", "none", path]);
  assert.equal(code, 0, stderr);
  return unmounting(path);
}

function unmounting(path: string): AsyncDisposable {
  return { [Symbol.asyncDispose]: async () => void (await run("umount", [path])) };
}

/** False, with the reason printed, where this user may mount nothing. */
async function mountTmpfs(t: TestContext, path: string, options: string): Promise<boolean> {
  const { code, stderr } = await run("mount", ["-t", "tmpfs", "-o", options, "none", path]);
  if (code !== 0) t.skip(`a disk of a given size takes a mount: ${stderr.trim()}`);
  return code === 0;
}
