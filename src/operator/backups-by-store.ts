import type { EtcdBackup } from "../api/v1alpha1/etcd-backup.ts";
import { keyOf } from "../controllers/reconciler.ts";

/** The keys of the EtcdBackups of each store for which `applies` is true. */
export class BackupsByStore {
  readonly #applies: (backup: EtcdBackup) => boolean;
  readonly #backups = new Map<string, Set<string>>();
  readonly #stores = new Map<string, string>();

  constructor(applies: (backup: EtcdBackup) => boolean) {
    this.#applies = applies;
  }

  of(store: string): ReadonlySet<string> {
    return this.#backups.get(store) ?? new Set();
  }

  /** Notes a change of an EtcdBackup. Returns the stores that have one less and one more. */
  set(key: string, backup: EtcdBackup | undefined): { from?: string; to?: string } {
    const before = this.#stores.get(key);
    const store = backup !== undefined && this.#applies(backup) ? storeKeyOf(backup) : undefined;
    if (before === store) return {};
    if (before !== undefined) {
      this.#stores.delete(key);
      const keys = this.#backups.get(before);
      keys?.delete(key);
      if (keys?.size === 0) this.#backups.delete(before);
    }
    if (store !== undefined) {
      this.#stores.set(key, store);
      const keys = this.#backups.get(store) ?? new Set();
      this.#backups.set(store, keys.add(key));
    }
    return {
      ...(before === undefined ? {} : { from: before }),
      ...(store === undefined ? {} : { to: store }),
    };
  }
}

export function storeKeyOf({ metadata: { namespace = "" }, spec }: EtcdBackup): string {
  return keyOf({ namespace, name: spec.storeRef.name });
}
