import { cp, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { s3Store } from "../harness/etcd-backup.ts";
import { etcdBackup } from "../harness/etcd-backup.ts";
import { within } from "../support/eventually.ts";
import type { World } from "./world.ts";

/** Everything that tells what happened, in a directory that stays. Resolves to its path. */
export async function keepEvidence(world: World, seed: number, did: readonly string[]): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `chaos-${seed}-`));
  const { bench, bucket } = world;
  const access = s3Store(bench.s3, bucket);
  const files: Record<string, () => string | Promise<string>> = {
    "done.txt": () => did.join("\n"),
    ...Object.fromEntries(world.replicas.map((replica) => [`${replica.name}.log`, () => replica.logs()])),
    "kube-apiserver.log": () => bench.api.process.output(),
    "store.log": () => bench.s3.process.output(),
    "store-requests.txt": () =>
      bench.network.seen.map(({ operation, url }) => `${operation} ${url}`).join("\n"),
    "acts-on-store.json": () => JSON.stringify(world.stored, undefined, 1),
    "terms.json": () => JSON.stringify({ terms: world.leaders.terms, ...world.diary }, undefined, 1),
    "objects.txt": async () => (await bench.objects(bucket)).join("\n"),
    "listed.json": async () =>
      (await etcdBackup(["list", "--store", access.url, "-o", "json"], access.env)).stdout,
    "etcdbackups.json": async () => JSON.stringify(await world.backups(), undefined, 1),
    ...Object.fromEntries(
      bench.etcd.members.map((member) => [`etcd-${member.name}.log`, () => member.logs()]),
    ),
  };
  for (const [name, content] of Object.entries(files)) {
    const text = async () => content();
    const got = await within(name, text(), 20).catch((error: unknown) => `cannot be told: ${String(error)}`);
    await writeFile(join(directory, name), got);
  }
  await cp(world.audit.path, join(directory, "audit.log")).catch(() => {});
  return directory;
}
