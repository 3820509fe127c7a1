import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import { writerOfStore } from "../store/writer.ts";

/** The writer of the EtcdBackup's store. */
export function writerIn(
  { metadata, spec }: EtcdBackup,
  deps: Parameters<typeof writerOfStore>[1],
): ReturnType<typeof writerOfStore> {
  return writerOfStore({ namespace: metadata.namespace ?? "default", name: spec.storeRef.name }, deps);
}
