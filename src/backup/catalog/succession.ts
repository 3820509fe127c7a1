import type { Infer } from "../../api/schema/schema.ts";
import type { Succession } from "../../core/backup/claim.ts";
import type { Store } from "../../store/store.ts";
import { clusterIdSchema, putJsonRecord, readJsonRecord } from "./json-record.ts";

const successionSchema = {
  type: "object",
  required: ["id", "of", "backup"],
  properties: {
    id: clusterIdSchema,
    of: clusterIdSchema,
    backup: { type: "string", maxLength: 256 },
  },
} as const;

/** Beside the records of EtcdRestores, which are named by UIDs. */
function successionObject(clusterName: string, id: string): string {
  return `${clusterName}/restores/cluster-${id}.json`;
}

/**
 * Records in the folder that a cluster was restored from one of its backups, so that its own backups may follow. Keeps a
 * record that exists: each member of a cluster may be restored by a command of its own.
 */
export async function recordSuccession(
  store: Pick<Store, "put">,
  clusterName: string,
  succession: Succession,
  signal: AbortSignal,
): Promise<void> {
  await putJsonRecord(store, successionObject(clusterName, succession.id), succession, { signal });
}

/** How the cluster `id` came into being, and when that was recorded by the store's clock. */
export async function readSuccession(
  store: Pick<Store, "get" | "head">,
  { clusterName, id }: { clusterName: string; id: string },
  signal: AbortSignal,
): Promise<{ succession: Succession; recorded: Date } | undefined> {
  const object = successionObject(clusterName, id);
  const document = await readJsonRecord(store, object, {
    schema: successionSchema,
    what: "a record of a restored cluster",
    hint: "find out who wrote it; etcd-backup claim take settles whose the folder is",
    signal,
  });
  const recorded = document === undefined ? undefined : (await store.head(object, { signal }))?.modified;
  if (recorded === undefined) return undefined;
  const { id: restored, of, backup } = document as Infer<typeof successionSchema>;
  return { succession: { id: restored, of, backup }, recorded };
}
