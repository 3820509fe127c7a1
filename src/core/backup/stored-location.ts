import type { EtcdBackupStatus } from "../../api/v1alpha1/etcd-backup.ts";

type Artifact = NonNullable<EtcdBackupStatus["artifact"]>;

/**
 * Where the backup was stored, when its EtcdBackupStore leads elsewhere now; undefined when both are equal. The store's
 * name proves nothing: a store that is deleted and created again under its name may have another bucket. Equal locations
 * prove the same bucket only as far as its endpoint and its name do. A status of an earlier release holds no endpoint.
 */
export function storedElsewhere(
  { storeURL, url }: Artifact,
  store: { url: string; location: string },
): string | undefined {
  if (storeURL !== undefined) return storeURL === store.location ? undefined : storeURL;
  // Without the folder of the cluster and the name of the data object.
  const recorded = url.split("/").slice(0, -2).join("/");
  return recorded === store.url ? undefined : recorded;
}

/**
 * Where the last attempt wrote, when the EtcdBackupStore leads elsewhere now; undefined when both are equal, or when an
 * earlier release began the attempt.
 */
export function attemptedElsewhere(
  { storeURL }: Pick<EtcdBackupStatus, "storeURL">,
  store: { location: string },
): string | undefined {
  return storeURL === store.location ? undefined : storeURL;
}
