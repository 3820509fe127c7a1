import { cp, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { etcdBackup, s3Store } from "../harness/etcd-backup.ts";
import { within } from "../support/eventually.ts";
import type { Testbed } from "./testbed.ts";

/** Writes logs and state into a directory that is not removed. Returns its path. */
export async function keepEvidence(
  testbed: Testbed,
  seed: number,
  actions: readonly string[],
): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `chaos-${seed}-`));
  const { bench, bucket } = testbed;
  const access = s3Store(bench.s3, bucket);
  const files: Record<string, () => string | Promise<string>> = {
    "actions.txt": () => actions.join("\n"),
    ...Object.fromEntries(testbed.replicas.map((replica) => [`${replica.name}.log`, () => replica.logs()])),
    "kube-apiserver.log": () => bench.api.process.output(),
    "store.log": () => bench.s3.process.output(),
    "store-requests.txt": () =>
      bench.network.seen.map(({ operation, url }) => `${operation} ${url}`).join("\n"),
    "acts-on-store.json": () => JSON.stringify(testbed.stored, undefined, 1),
    "copies.log": () => testbed.copyLogs.join("\n--- the next copy\n"),
    "acts-of-copies.json": () => JSON.stringify(testbed.copied, undefined, 1),
    "moving.json": () => JSON.stringify(testbed.moving, undefined, 1),
    "terms.json": () => JSON.stringify({ terms: testbed.leaders.terms, ...testbed.diary }, undefined, 1),
    "schedules.json": async () => bench.api.kubectl(["get", "etcdbackupschedules", "-o", "json"]),
    "scheduled-runs.json": () => JSON.stringify([...testbed.schedules.runs], undefined, 1),
    "scheduled-backups.json": () =>
      JSON.stringify([...testbed.schedules.history.ever.values()], undefined, 1),
    "scheduled-objects.txt": async () => (await bench.objects(testbed.schedules.bucket)).join("\n"),
    "objects.txt": async () => (await bench.objects(bucket)).join("\n"),
    "listed.json": async () =>
      (await etcdBackup(["list", "--store", access.url, "-o", "json"], access.env)).stdout,
    "etcdbackups.json": async () => JSON.stringify(await testbed.allBackups(), undefined, 1),
    ...Object.fromEntries(
      bench.etcd.members.map((member) => [`etcd-${member.name}.log`, () => member.logs()]),
    ),
  };
  for (const [name, content] of Object.entries(files)) {
    const text = async () => content();
    const written = await within(name, text(), 20).catch(
      (error: unknown) => `not available: ${String(error)}`,
    );
    await writeFile(join(directory, name), written);
  }
  await cp(testbed.audit.path, join(directory, "audit.log")).catch(() => {});
  return directory;
}
