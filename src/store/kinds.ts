import type { StoreKindName } from "../api/v1alpha1/etcd-backup-store-location.ts";
import { fileKind } from "./file/kind.ts";
import type { StoreKind } from "./kind.ts";
import { s3Kind } from "./s3/kind.ts";

/** One for each field of `spec` that names a location. */
const kinds = {
  s3: s3Kind,
  file: fileKind,
} satisfies { readonly [K in StoreKindName]: StoreKind<{ kind: K }> };

/** Where a store is and how to reach it, from a URL or an EtcdBackupStore. */
export type StoreConfig = ReturnType<(typeof kinds)[StoreKindName]["parseUrl"]>;

export const storeKinds: readonly StoreKind<StoreConfig>[] = Object.values(kinds);

export function storeKindOf({ kind }: StoreConfig): StoreKind<StoreConfig> {
  return kinds[kind];
}
