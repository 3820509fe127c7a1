import { saveSnapshot } from "../../src/backup/save.ts";
import type { Manifest } from "../../src/backup/manifest/manifest.ts";
import { defaultSelection } from "../../src/core/etcd/member-choice.ts";
import { openCluster } from "../../src/etcd/cluster.ts";
import { openStore } from "../../src/store/open.ts";
import { parseStoreUrl } from "../../src/store/url.ts";
import { s3Store } from "../harness/etcd-backup.ts";
import type { Bench } from "../support/bench.ts";

/** Stores a backup of the bench's etcd, as a process without a hold does, past the proxies. */
export async function saveDirectly(
  { s3, etcd }: Bench,
  {
    bucket,
    ...options
  }: { bucket: string; runId: string; series?: NonNullable<Manifest["series"]>; now: () => Date },
): Promise<Manifest> {
  const { url, env } = s3Store(s3, bucket);
  await using store = await openStore(parseStoreUrl(url), { env });
  await using cluster = openCluster(etcd.endpoints, { timeoutMs: 5_000, tls: {} });
  return await saveSnapshot({
    cluster,
    store,
    clusterName: "prod",
    selection: defaultSelection,
    hashKV: "Skip",
    compression: "Zstd",
    readBack: false,
    tool: { name: "etcd-backup", version: "test" },
    signal: AbortSignal.timeout(60_000),
    ...options,
  });
}
