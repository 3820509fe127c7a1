import { listBackups } from "../../backup/catalog/list.ts";
import type { CatalogEntry } from "../../backup/catalog/listing.ts";
import { openStore } from "../../store/open.ts";
import type { Context, GlobalFlags } from "../context.ts";
import { type OutputFormat, type StoreFlags, storeOf } from "../flags.ts";
import { age, bytes } from "../../core/human.ts";
import { print } from "../output.ts";
import { table } from "../table.ts";

/** `etcd-backup list`: newest first. A backup with a problem shows it as its state. */
export async function list(
  flags: GlobalFlags & StoreFlags & { output: OutputFormat },
  context: Context,
): Promise<void> {
  await using store = await openStore(storeOf(flags), { env: context.env });
  const { clusterName } = flags;
  const entries = await listBackups(store, {
    ...(clusterName === undefined ? {} : { clusterName }),
    signal: context.signal,
    onWarning: (text) => context.stderr.write(`warning: ${text}\n`),
  });
  if (entries.length === 0 && flags.output === "table") {
    context.stderr.write(
      `no backups in ${store.url}${clusterName === undefined ? "" : ` for cluster ${clusterName}`}\n`,
    );
    return;
  }
  const values = entries.map((e) => ({
    ...e,
    time: e.time.toISOString(),
    url: `${store.url}/${e.clusterName}/${e.name}`,
  }));
  await print(context, flags.output, values, () => listTable(entries, context.now()));
}

function listTable(entries: readonly CatalogEntry[], now: Date): string {
  const header = ["BACKUP", "CLUSTER", "REVISION", "SIZE", "STORED", "ETCD", "AGE", "STATE"];
  const rows = entries.map(({ name, clusterName, revision, time, manifest, problem, stranger }) => {
    const sizes =
      manifest === undefined
        ? ["-", "-", "-"]
        : [bytes(manifest.snapshot.totalSizeBytes), bytes(manifest.stored.bytes), manifest.member.version];
    const state =
      problem ??
      stranger ??
      (manifest?.snapshot.withoutQuorum === true ? "complete, without quorum" : "complete");
    return [name, clusterName, String(revision), ...sizes, age(time, now), state];
  });
  return table(header, rows, ["REVISION", "SIZE", "STORED"]);
}
