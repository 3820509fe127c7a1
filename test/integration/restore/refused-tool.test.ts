import assert from "node:assert/strict";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { binary } from "../../harness/binaries.ts";
import { etcdBackup } from "../../harness/etcd-backup.ts";
import { run, tempDir } from "../../harness/process.ts";
import { treeOf } from "../../support/files.ts";
import { type SampleBackup, assertRefused, sampleBackup } from "./refusal.ts";

let directory: { path: string } & AsyncDisposable;
let backups: Record<"3.4" | "3.6", SampleBackup>;

before(async () => {
  directory = await tempDir("refusals");
  backups = {
    "3.4": await sampleBackup(directory.path, "3.4"),
    "3.6": await sampleBackup(directory.path, "3.6"),
  };
});
after(() => directory[Symbol.asyncDispose]());

const latest = ({ store }: SampleBackup): string[] => ["latest", "--store", store];

describe("restore refuses a tool that cannot do the restore", () => {
  it("an etcdctl without --bump-revision", async () => {
    await using dir = await tempDir("refusal");
    const etcdctl34 = await binary("etcdctl", "3.4");
    await assertRefused(dir.path, {
      args: [...latest(backups["3.4"]), "--data-dir", "{dir}/data", "--etcdutl", etcdctl34],
      code: 3,
      says: `latest is lab/${backups["3.4"].name}
etcd-backup: etcdctl 3.4.23 (${etcdctl34}) has no --bump-revision: it came with 3.4.27, 3.5.10 and 3.6.0
  hint: use a later patch of the same minor; or --bump-revision 0 if no client watches this cluster, since a client that saw newer revisions misses changes
`,
    });
  });

  it("a tool older than the snapshot, by the version in the manifest or in the snapshot", async () => {
    await using dir = await tempDir("refusal");
    const etcdutl35 = await binary("etcdutl", "3.5");
    const release = /3\.5\.\d+/.exec((await run(etcdutl35, ["version"])).stdout)?.[0] ?? "";
    const says = `etcd-backup: etcdutl ${release} (${etcdutl35}) cannot restore a snapshot of etcd 3.6
  hint: use an etcdutl of 3.6 or later, and the same etcd after it
`;
    const data = ["--data-dir", "{dir}/data", "--etcdutl", etcdutl35];
    await assertRefused(dir.path, {
      args: [...latest(backups["3.6"]), ...data],
      code: 3,
      says: `latest is lab/${backups["3.6"].name}\n${says}`,
    });
    await assertRefused(dir.path, { args: [backups["3.6"].file, ...data], code: 3, says });
  });

  it("a file that is missing, no program, another program, or an etcdctl without snapshot restore", async () => {
    await using dir = await tempDir("refusal");
    const script = async (name: string, text: string): Promise<void> => {
      await writeFile(join(dir.path, name), text);
      await chmod(join(dir.path, name), 0o755);
    };
    await script("binary", "#!/no/such/interpreter\n");
    await script("other", "#!/bin/sh\necho hello\n");
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
  hint: set --etcdutl to the etcdutl of the etcd version that will run on the data
`,
      ],
      [
        etcdctl36,
        `etcdctl ${release} (${etcdctl36}) cannot restore a snapshot
  hint: give --etcdutl FILE: etcd 3.6 and later restore with etcdutl
`,
      ],
    ] as const)
      await assertRefused(dir.path, {
        args: [backups["3.6"].file, "--data-dir", "{dir}/data", "--etcdutl", path],
        code: 2,
        says: `etcd-backup: ${says}`,
      });
  });

  it("a tool that fails, with its error message, and removes what the tool has written", async () => {
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
    const restored = (name: string) => `verified    ${backups["3.6"].file}, revision 8
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
      await assertRefused(dir.path, {
        args: [backups["3.6"].file, ...data],
        code,
        says: `${restored("default")}etcd-backup: etcdutl 3.6.99 ${says}`,
      });
    }
  });

  it("a tool that exits with 0 and has written nothing, such as one in a container", async () => {
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
      backups["3.6"].file,
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
