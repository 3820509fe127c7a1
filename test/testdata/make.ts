/**
 * Makes the snapshots in test/testdata/snapshots with servers of each minor, and expected.json with the output of
 * their own `snapshot status`. Run it again only when a case is added: `node test/testdata/make.ts`.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { constants, zstdCompressSync } from "node:zlib";
import { type EtcdCluster, startEtcd } from "../harness/etcd-cluster.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { churn, raiseAlarm, writeMixedHistory } from "./histories.ts";
import { revisionOf } from "../support/cluster-state.ts";

const directory = join(import.meta.dirname, "snapshots");

const cases: { name: string; minor: "3.4" | "3.5" | "3.6"; history: (cluster: EtcdCluster) => Promise<void> }[] = [
  { name: "fresh-3.6", minor: "3.6", history: async () => {} },
  { name: "mixed-3.4", minor: "3.4", history: writeMixedHistory },
  { name: "mixed-3.5", minor: "3.5", history: writeMixedHistory },
  { name: "mixed-3.6", minor: "3.6", history: writeMixedHistory },
  { name: "churned-3.5", minor: "3.5", history: churnAndCompact },
  { name: "churned-3.6", minor: "3.6", history: churnAndCompact },
];

async function churnAndCompact(cluster: EtcdCluster): Promise<void> {
  await churn(cluster, 300);
  await cluster.etcdctl(["compact", `${(await revisionOf(cluster)) - 3}`, "--physical"]);
  await cluster.etcdctl(["put", "after", "compaction"]);
  await raiseAlarm(cluster);
}

const expected: Record<string, unknown> = {};
for (const { name, minor, history } of cases) {
  await using cluster = await startEtcd({ minor });
  await using scratch = await tempDir("make");
  await history(cluster);
  const file = join(scratch.path, "snapshot.db");
  await cluster.etcdctl(["snapshot", "save", file]);
  expected[name] = JSON.parse(await cluster.etcdutl(["snapshot", "status", file, "-w", "json"]));
  const packed = zstdCompressSync(await readFile(file), { params: { [constants.ZSTD_c_compressionLevel]: 19 } });
  await writeFile(join(directory, `${name}.db.zst`), packed);
  process.stderr.write(`${name}: ${packed.length} bytes\n`);
}
await writeFile(join(directory, "expected.json"), `${JSON.stringify(expected, null, 2)}\n`);
