import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import { FactMemory } from "../../backup/catalog/facts.ts";
import { StoreCatalog } from "../../backup/catalog/store-catalog.ts";
import type { Store } from "../../store/store.ts";
import { type Request, keyOf } from "../reconciler.ts";

/**
 * The catalogs of the stores that this operator holds, for one term of leadership. A store whose resource has changed may
 * be another one, so it gets a new catalog. All share one bound on what is remembered of manifests.
 */
export class Catalogs {
  readonly #catalogs = new Map<string, { of: string; catalog: StoreCatalog }>();
  readonly #facts = new FactMemory();
  readonly #now: () => Date;

  constructor(now: () => Date) {
    this.#now = now;
  }

  /** `open`: opens the store to read what is not remembered. The catalog closes it. */
  of(
    store: EtcdBackupStore,
    open: (store: EtcdBackupStore, signal: AbortSignal) => Promise<Store>,
  ): StoreCatalog {
    const known = this.find(store);
    if (known !== undefined) return known;
    this.forget(store.metadata);
    const catalog = new StoreCatalog({
      open: (signal) => open(store, signal),
      facts: this.#facts,
      now: this.#now,
    });
    this.#catalogs.set(keyOf(store.metadata), { of: versionOf(store), catalog });
    return catalog;
  }

  /** Undefined while nobody has asked for the catalog of the store as its resource is. */
  find(store: EtcdBackupStore): StoreCatalog | undefined {
    const known = this.#catalogs.get(keyOf(store.metadata));
    return known?.of === versionOf(store) ? known.catalog : undefined;
  }

  forget(store: Request | EtcdBackupStore["metadata"]): void {
    this.#catalogs.get(keyOf(store))?.catalog.forget();
    this.#catalogs.delete(keyOf(store));
  }
}

function versionOf({ metadata }: EtcdBackupStore): string {
  return `${metadata.uid} ${metadata.generation}`;
}
