import type { StoreEvent } from "../../api/v1alpha1/events.ts";
import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { StoreCatalog } from "../../backup/catalog/store-catalog.ts";
import { wholeSeconds } from "../../core/conditions.ts";
import type { Log } from "../../core/log.ts";
import type { KnownBackups } from "../../core/store/known-backups.ts";
import {
  type CatalogStatus,
  type CatalogedBackup,
  type ImportedRecord,
  type RecordsPlan,
  countAbsences,
  importBegun,
  importedLabel,
  planRecords,
  recordName,
  slackMs,
} from "../../core/store/records.ts";
import { type EventSink, eventsOf } from "../events.ts";
import { type Request, keyOf } from "../reconciler.ts";

/** What the controller reads and writes of the EtcdBackups that record the backups of a store. */
export interface RecordResources {
  backup(request: Request, signal: AbortSignal): Promise<EtcdBackup | undefined>;
  /** False when the name is taken. */
  createRecord(record: RecordDraft, signal: AbortSignal): Promise<boolean>;
  /** Deletes the EtcdBackup if it still has this UID. */
  removeRecord(record: Request & { uid: string }, signal: AbortSignal): Promise<void>;
}

export interface RecordDraft extends Request {
  labels: Record<string, string>;
  store: string;
  clusterName: string;
  backup: string;
}

interface RecordDeps {
  resources: RecordResources;
  known: KnownBackups;
  events: EventSink;
  now: () => Date;
  log: Log;
}

/** EtcdBackups that one pass makes or deletes. The others follow in the next passes, so no store holds a worker. */
const batchSize = 50;

/** What this process knows of the records of one store at one location. */
class Memory {
  /** What the import went by: another one begins anew. */
  round = "";
  readonly handled = new Set<string>();
  readonly clashes = new Set<string>();
  /** Complete listings in a row that did not show the backup of a record, by the record's UID. */
  absences: ReadonlyMap<string, number> = new Map();
  gone: ImportedRecord[] = [];
  countedListing: Date | undefined;
  /** The newest backup on which a listing that began then has decided. */
  decided: { newest: number; at: Date } | undefined;
  created = 0;
  /** Where the store is, while the last pass has left something to do. */
  leftAt: string | undefined;
}

/** The EtcdBackups that record the backups of stores. */
export class Records {
  readonly #deps: RecordDeps;
  /** By the key of the store. */
  readonly #memories = new Map<string, { of: string; memory: Memory }>();

  constructor(deps: RecordDeps) {
    this.#deps = deps;
  }

  /** Goes on where the last pass has stopped. Whether something is left to do then. */
  async goOn(
    store: EtcdBackupStore,
    catalog: StoreCatalog | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const location = this.#memories.get(keyOf(store.metadata))?.memory.leftAt;
    if (catalog === undefined || location === undefined) return false;
    return !(await this.sync(store, { catalog, location, signal })).isDone;
  }

  /**
   * Makes and deletes EtcdBackups, `batchSize` at most, by the last complete listing. `isDone`: the others are as they have
   * to be, and `status` says so.
   */
  async sync(
    store: EtcdBackupStore,
    { catalog, location, signal }: { catalog: StoreCatalog; location: string; signal: AbortSignal },
  ): Promise<{ isDone: boolean; status: CatalogStatus }> {
    const memory = this.#memoryOf(store, location);
    const plan = this.#plan(store, { catalog, location, memory });
    if (memory.countedListing !== catalog.listedAt) {
      const { counts, gone } = countAbsences(plan.absent, memory.absences);
      memory.absences = counts;
      memory.gone = gone;
      memory.countedListing = catalog.listedAt;
    }
    const create = plan.create.slice(0, batchSize);
    const remove = [...memory.gone, ...plan.trim].slice(0, batchSize);
    for (const record of remove) await this.#remove(store, record, signal);
    memory.gone = memory.gone.filter((record) => !remove.includes(record));
    const sound = await catalog.withoutProblem(create, signal);
    const names = new Set(this.#recordsOf(store).map(({ name }) => name));
    for (const { name } of remove) names.delete(name);
    for (const backup of sound)
      if (await this.#create(store, backup, { memory, signal })) names.add(recordName(backup));
    for (const backup of create) memory.handled.add(placeOf(backup));
    const isDone = create.length === plan.create.length && remove.length < batchSize;
    memory.leftAt = isDone ? undefined : location;
    if (isDone) this.#end(store, memory, { plan, listedAt: catalog.listedAt });
    const status = {
      ...(isDone ? plan.next : store.status.catalog),
      ...(catalog.listedAt === undefined ? {} : { listedTime: wholeSeconds(catalog.listedAt) }),
      imported: names.size,
      nameClashes: memory.clashes.size,
    };
    return { isDone, status };
  }

  /** Frees what is known of a store that does not exist, or that another operator holds. */
  forget(store: Request): void {
    this.#memories.delete(keyOf(store));
  }

  #memoryOf(store: EtcdBackupStore, location: string): Memory {
    const { importedFor, lastHandledImport } = importBegun(store);
    const round = `${importedFor} ${lastHandledImport}`;
    const of = `${store.metadata.uid} ${location}`;
    const known = this.#memories.get(keyOf(store.metadata));
    const memory = known?.of === of ? known.memory : new Memory();
    if (memory.round !== round) {
      memory.handled.clear();
      memory.clashes.clear();
      memory.round = round;
    }
    this.#memories.set(keyOf(store.metadata), { of, memory });
    return memory;
  }

  #plan(
    store: EtcdBackupStore,
    { catalog, location, memory }: { catalog: StoreCatalog; location: string; memory: Memory },
  ): RecordsPlan {
    const { namespace = "", name } = store.metadata;
    return planRecords({
      store,
      location,
      backups: catalog.backups(),
      records: this.#recordsOf(store),
      isKnown: (backup) =>
        this.#deps.known.isKnown({
          namespace,
          store: name,
          location,
          clusterName: backup.clusterName,
          name: backup.name,
        }),
      isHandled: (backup) =>
        memory.handled.has(placeOf(backup)) || catalog.wasStoredHere(backup.clusterName, backup.name),
      settled: settledOf(memory, catalog.listedAt)?.newest,
      now: this.#deps.now(),
    });
  }

  #recordsOf({ metadata: { namespace = "", name } }: EtcdBackupStore): ImportedRecord[] {
    return this.#deps.known.recordsOf(namespace, name);
  }

  async #create(
    store: EtcdBackupStore,
    { clusterName, name: backup }: CatalogedBackup,
    { memory, signal }: { memory: Memory; signal: AbortSignal },
  ): Promise<boolean> {
    const { resources, log } = this.#deps;
    const { namespace = "", name: storeName } = store.metadata;
    const at = { namespace, name: recordName({ clusterName, name: backup }) };
    const draft = { ...at, labels: { [importedLabel]: "true" }, store: storeName, clusterName, backup };
    if (await resources.createRecord(draft, signal)) {
      memory.created += 1;
      return true;
    }
    // It may be the one of an earlier pass, which the watch has not shown yet.
    const taken = await resources.backup(at, signal);
    const { imported, storeRef } = taken?.spec ?? {};
    if (taken === undefined || (imported?.backup === backup && storeRef?.name === storeName)) return false;
    memory.clashes.add(at.name);
    log.warn(
      { store: keyOf(store.metadata), backup: keyOf(at) },
      "another EtcdBackup has the name of a record",
    );
    eventsOf<StoreEvent>(this.#deps.events, store, "Probe").warning(
      "RecordNameTaken",
      `EtcdBackup ${at.name} exists and does not record backup ${backup} of EtcdBackupStore ${storeName}; the operator left it unchanged`,
    );
    return false;
  }

  async #remove(store: EtcdBackupStore, record: ImportedRecord, signal: AbortSignal): Promise<void> {
    const { namespace = "" } = store.metadata;
    await this.#deps.resources.removeRecord({ namespace, name: record.name, uid: record.uid }, signal);
    const { name, backup } = record;
    this.#deps.log.info(
      { store: keyOf(store.metadata), backup: keyOf({ namespace, name }), stored: backup },
      "record deleted",
    );
  }

  #end(
    store: EtcdBackupStore,
    memory: Memory,
    { plan, listedAt }: { plan: RecordsPlan; listedAt: Date | undefined },
  ): void {
    memory.handled.clear();
    for (const backup of plan.recent) memory.handled.add(placeOf(backup));
    if (listedAt !== undefined && (memory.decided === undefined || settledOf(memory, listedAt) !== undefined))
      memory.decided = { newest: plan.newest, at: listedAt };
    if (memory.created === 0) return;
    const count = memory.created;
    memory.created = 0;
    const what = count === 1 ? "1 EtcdBackup records a backup" : `${count} EtcdBackups record backups`;
    const note = `${what} that the store holds`;
    eventsOf<StoreEvent>(this.#deps.events, store, "Probe").normal("BackupsImported", note);
  }
}

/** What was decided by a listing so long ago that no server can still name a time before its newest. */
function settledOf({ decided }: Memory, listedAt: Date | undefined): Memory["decided"] {
  if (decided === undefined || listedAt === undefined) return undefined;
  return listedAt.getTime() - decided.at.getTime() >= slackMs ? decided : undefined;
}

function placeOf({ clusterName, name }: CatalogedBackup): string {
  return `${clusterName}/${name}`;
}
