import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { tempDir } from "../../harness/process.ts";
import { snapshotFile } from "../../testdata/snapshot-files.ts";
import { type Refusal, assertRefused, three } from "./refusal.ts";

describe("restore refuses an invalid command line with exit code 2", () => {
  const data = ["--data-dir", "{dir}/data"];
  const cases: Record<string, Omit<Refusal, "code">> = {
    "a --name that is not in --initial-cluster": {
      args: ["--name", "m4", "--initial-cluster", three, ...data],
      says: `etcd-backup: --name m4 is not in --initial-cluster, which has m1, m2, m3
  hint: use one of the names in --initial-cluster as --name, and the same list on every host
`,
    },
    "no --name and several members": {
      args: ["--initial-cluster", three, ...data],
      says: `etcd-backup: --name is missing, and --initial-cluster has several members
  hint: add --name: m1, m2, m3
`,
    },
    "peer URLs that differ from those in --initial-cluster": {
      args: [
        ...["--name", "m1", "--initial-cluster", three, ...data],
        ...["--initial-advertise-peer-urls", "http://10.0.0.9:2380"],
      ],
      says: `etcd-backup: --initial-advertise-peer-urls http://10.0.0.9:2380 differs from the peer URLs of m1 in --initial-cluster: http://10.0.0.1:2380
  hint: give this member the same peer URLs in both flags
`,
    },
    "one peer URL for two members": {
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
    "a data directory template without {name}": {
      args: ["--all-members", "--initial-cluster", three, "--data-dir-template", "{dir}/data"],
      says: `etcd-backup: --data-dir-template has no {name} in it
  hint: write --data-dir-template '/var/lib/etcd/{name}'
`,
    },
    "a WAL directory template without {name}": {
      args: [
        ...["--all-members", "--initial-cluster", three],
        ...["--data-dir-template", "{dir}/{name}", "--wal-dir-template", "{dir}/log"],
      ],
      says: `etcd-backup: --wal-dir-template has no {name} in it
  hint: write --wal-dir-template '/var/lib/etcd-wal/{name}'
`,
    },
    "--all-members and --data-dir": {
      args: [
        ...["--all-members", "--initial-cluster", three],
        ...["--data-dir-template", "{dir}/{name}", "--data-dir", "{dir}/m1"],
      ],
      says: `etcd-backup: --data-dir cannot be given with --all-members
  hint: remove --data-dir and unset ETCD_DATA_DIR
`,
    },
    "--all-members without --initial-cluster": {
      args: ["--all-members", "--data-dir-template", "{dir}/{name}"],
      says: `etcd-backup: --all-members needs --initial-cluster
  hint: add --initial-cluster m1=https://…,m2=https://…
`,
    },
    "a template without --all-members": {
      args: ["--data-dir-template", "{dir}/{name}"],
      says: `etcd-backup: --data-dir-template needs --all-members
  hint: add --all-members, or give --data-dir DIR instead
`,
    },
    "a member's name with .. in a template": {
      args: [
        ...["--all-members", "--initial-cluster", "../m1=http://a:2380"],
        ...["--data-dir-template", "{dir}/{name}"],
      ],
      says: `etcd-backup: member name ../m1 cannot be part of a path
  hint: restore this member alone, with --name and --data-dir
`,
    },
    "a WAL directory below the data directory": {
      args: [...data, "--wal-dir", "{dir}/data/member/wal"],
      says: `etcd-backup: {dir}/data contains {dir}/data/member/wal
  hint: give each data directory and each WAL directory a path outside the others
`,
    },
    "the data directory as WAL directory": {
      args: [...data, "--wal-dir", "{dir}/data"],
      says: `etcd-backup: {dir}/data is given twice
  hint: give each data directory and each WAL directory a path outside the others
`,
    },
    "the WAL directory of one member as data directory of another": {
      args: [
        ...["--all-members", "--initial-cluster", "m1=http://a:2380,m1-log=http://b:2380"],
        ...["--data-dir-template", "{dir}/{name}", "--wal-dir-template", "{dir}/{name}-log"],
      ],
      says: `etcd-backup: {dir}/m1-log is given twice
  hint: give each data directory and each WAL directory a path outside the others
`,
    },
    "a --bump-revision that is no whole number": {
      args: [...data, "--bump-revision", "1e9"],
      says: "etcd-backup: --bump-revision 1e9 is not a whole number\n",
    },
  };
  for (const [what, { args, says }] of Object.entries(cases)) {
    it(what, async () => {
      await using dir = await tempDir("refusal");
      const file = join(dir.path, "snapshot.db");
      await writeFile(file, snapshotFile("fresh-3.6"));
      await assertRefused(dir.path, { args: [file, ...args], code: 2, says });
    });
  }
});
