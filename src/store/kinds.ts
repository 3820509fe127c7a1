import type { StoreKindName } from "../api/v1alpha1/etcd-backup-store-location.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import { OperatorError } from "../core/errors.ts";
import type { StoreFacts } from "../core/store/facts.ts";
import { fileKind } from "./file/kind.ts";
import type { JobStore } from "../core/store/job-store.ts";
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
  if (found === undefined) return ofUnknownKind;
  const { kind, location } = found;
  const { inJobs } = kind;
  return { ...kind.facts(location), ...("refusal" in inJobs ? { jobRefusal: inJobs.refusal() } : {}) };
}

/** As `settings` of a StoreKind. Throws InvalidConfiguration for a store of a kind that this release does not know. */
export async function settingsOf({ spec }: EtcdBackupStore, grants: Grants): Promise<StoreConfig> {
  const { kind, location } = locationIn(spec) ?? noLocation();
  return kind.settings(location, grants);
}

/** What the Jobs of an EtcdRestore need to read the store. Throws as `settingsOf` does, and `jobRefusal` of its facts. */
export async function jobStoreOf({ spec }: EtcdBackupStore, grants: Grants): Promise<JobStore> {
  const { kind, location } = locationIn(spec) ?? noLocation();
  const config = await kind.settings(location, grants);
  if ("refusal" in kind.inJobs) throw kind.inJobs.refusal();
  return kind.inJobs.forJobs(location, config, grants.env);
}

function noLocation(): never {
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
