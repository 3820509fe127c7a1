import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import { parseBackupName } from "../backup/name.ts";
import { runPrefix } from "../backup/run-id.ts";
import { type ImportedRecord, importedLabel } from "./records.ts";

/** A backup in a store, in the eyes of the EtcdBackups of one namespace. */
interface StoredPlace {
  namespace: string;
  /** Name of the EtcdBackupStore. */
  store: string;
  /** Its location, as `status.artifact.storeURL` names it. */
  location: string;
  clusterName: string;
  name: string;
}

/** What one EtcdBackup says: the keys under which it is found. */
interface Entry {
  namespace: string;
  /** By cluster and name: the backup that it made, or that it imports. Absent before that is known. */
  place?: string;
  /** Begins the run IDs of its attempts. Absent once it names what they stored. */
  prefix?: string;
  storeURL?: string | undefined;
  /** The store of a backup that it imports. */
  importsFrom?: string;
  record?: ImportedRecord;
}

/** Finds the EtcdBackup of a stored backup without a look at all of them. It follows a watch. */
export class KnownBackups {
  readonly #entries = new Map<string, Entry>();
  /** Keys of EtcdBackups by namespace and place, by namespace and prefix, and those of records by store. */
  readonly #found = new Map<string, Set<string>>();

  /** Notes a change of the EtcdBackup with this key, or that it does not exist. */
  set(key: string, backup: EtcdBackup | undefined): void {
    const before = this.#entries.get(key);
    if (before !== undefined)
      for (const at of placesOf(before)) {
        const keys = this.#found.get(at);
        keys?.delete(key);
        if (keys?.size === 0) this.#found.delete(at);
      }
    if (backup === undefined) {
      this.#entries.delete(key);
      return;
    }
    const entry = entryOf(backup);
    this.#entries.set(key, entry);
    for (const at of placesOf(entry)) this.#found.set(at, (this.#found.get(at) ?? new Set()).add(key));
  }

  /** Whether an EtcdBackup made the backup, imports it, or has a run that may be storing it. */
  isKnown(at: StoredPlace): boolean {
    if (this.keysOf(at).length > 0) return true;
    const prefix = /^[^x]*x/.exec(parseBackupName(at.name)?.runId ?? "")?.[0];
    return prefix !== undefined && this.#found.has(prefixKey(at.namespace, prefix));
  }

  /** The keys of the EtcdBackups that made the backup or import it. */
  keysOf({ namespace, store, location, clusterName, name }: StoredPlace): string[] {
    const keys = [...(this.#found.get(placeKey(namespace, `${clusterName}/${name}`)) ?? [])];
    return keys.filter((key) => {
      const { storeURL, importsFrom } = this.#entries.get(key) ?? {};
      const isHere = storeURL === undefined ? importsFrom === undefined : storeURL === location;
      return isHere || importsFrom === store;
    });
  }

  /** The records of stored backups that the operator made for this store. */
  recordsOf(namespace: string, store: string): ImportedRecord[] {
    const keys = [...(this.#found.get(recordKey(namespace, store)) ?? [])];
    return keys.flatMap((key) => this.#entries.get(key)?.record ?? []);
  }
}

function entryOf({ metadata, spec, status }: EtcdBackup): Entry {
  const { namespace = "", name, uid } = metadata;
  const { artifact } = status;
  const at = { namespace, storeURL: artifact?.storeURL };
  if (spec.imported === undefined)
    return artifact === undefined
      ? { ...at, prefix: runPrefix(uid) }
      : { ...at, place: `${spec.clusterName}/${artifact.name}` };
  const { backup } = spec.imported;
  const store = spec.storeRef.name;
  const record = { name, uid, store, clusterName: spec.clusterName, backup, storeURL: artifact?.storeURL };
  return {
    ...at,
    place: `${spec.clusterName}/${backup}`,
    importsFrom: store,
    ...(metadata.labels?.[importedLabel] === "true" && metadata.deletionTimestamp === undefined
      ? { record }
      : {}),
  };
}

function placesOf({ namespace, place, prefix, record }: Entry): string[] {
  return [
    ...(place === undefined ? [] : [placeKey(namespace, place)]),
    ...(prefix === undefined ? [] : [prefixKey(namespace, prefix)]),
    ...(record === undefined ? [] : [recordKey(namespace, record.store)]),
  ];
}

const placeKey = (namespace: string, place: string) => `place ${namespace}/${place}`;
const prefixKey = (namespace: string, prefix: string) => `prefix ${namespace}/${prefix}`;
const recordKey = (namespace: string, store: string) => `record ${namespace}/${store}`;
