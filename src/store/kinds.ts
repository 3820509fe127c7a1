import type { StoreKindName } from "../api/v1alpha1/etcd-backup-store-location.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import { OperatorError } from "../core/errors.ts";
import type { StoreFacts } from "../core/store/facts.ts";
import { fileKind } from "./file/kind.ts";
import type { Grants } from "./grants.ts";
import type { LocationOf, StoreKind } from "./kind.ts";
import { s3Kind } from "./s3/kind.ts";

/** One for each field of `spec` that names a location. */
const kinds = {
  s3: s3Kind,
  file: fileKind,
} satisfies { readonly [K in StoreKindName]: StoreKind<{ kind: K }> };

/** Where a store is and how to reach it, from a URL or an EtcdBackupStore. */
export type StoreConfig = ReturnType<(typeof kinds)[StoreKindName]["parseUrl"]>;

const byName: Readonly<Record<StoreKindName, StoreKind<StoreConfig>>> = kinds;

const names = Object.keys(byName) as StoreKindName[];

export const storeKinds = Object.values(byName);

export function storeKindOf({ kind }: StoreConfig): StoreKind<StoreConfig> {
  return byName[kind];
}

export function factsOf({ spec }: EtcdBackupStore): StoreFacts {
  const found = locationIn(spec);
  return found === undefined ? ofUnknownKind : found.kind.facts(found.location);
}

/** As `settings` of a StoreKind. Throws InvalidConfiguration for a store of a kind that this release does not know. */
export async function settingsOf({ spec }: EtcdBackupStore, grants: Grants): Promise<StoreConfig> {
  const found = locationIn(spec);
  if (found !== undefined) return found.kind.settings(found.location, grants);
  throw new OperatorError("InvalidConfiguration", `the EtcdBackupStore has neither ${names.join(" nor ")}`);
}

const ofUnknownKind: StoreFacts = { missing: "InvalidConfiguration", secrets: [], removesVersions: false };

function locationIn(
  spec: EtcdBackupStore["spec"],
): { kind: StoreKind<StoreConfig>; location: LocationOf<StoreKindName> } | undefined {
  for (const name of names) {
    const location = spec[name];
    if (location !== undefined) return { kind: byName[name], location };
  }
  return undefined;
}
