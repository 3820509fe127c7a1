import { OperatorError } from "../../core/errors.ts";
import type { CatalogedBackup } from "../../core/store/records.ts";
import type { ObjectInfo, Store } from "../../store/store.ts";
import { type Marks, noMarks } from "../../core/verification/marks.ts";
import { type Manifest, encodeManifest } from "../manifest/manifest.ts";
import {
  type CompactListing,
  type ListedBackup,
  type ListedFolder,
  type ReadListing,
  emptyFolder,
  expand,
  newestFirstOf,
  ownNamesOf,
  readCompactListing,
  sizesFor,
} from "./compact-listing.ts";
import {
  FactMemory,
  type ManifestFacts,
  type PackedFacts,
  isKnown,
  isLater,
  isUnusable,
  learnedFrom,
  entryFrom,
  packFacts,
} from "./facts.ts";
import { FolderClaims } from "./folder-claims.ts";
import { FolderMarks } from "./folder-marks.ts";
import { lazyReader } from "./lazy-reader.ts";
import { type CatalogEntry, readEntry } from "./listing.ts";
import { retainableOf } from "./retainable.ts";
import type { RetainableBackup } from "../../core/retention/retainable.ts";
import { type Summary, latestInFolder, summaryOf } from "./summary.ts";
import { type ListedMarks, marked } from "./verification.ts";

type Reader = Pick<Store, "get" | "list">;

/** Manifests that are read at a time. */
const manifestsInFlight = 8;
/** Manifests that one summary reads. The next one goes on where it ended. */
const mostReadsOfSummary = 1_000;

interface CatalogOptions {
  /** Opens the store, to read what is not remembered. The catalog closes it. */
  open: (signal: AbortSignal) => Promise<Store>;
  facts?: FactMemory;
  now?: () => Date;
}

/** A listing that has ended, and when it began, by the clock of this process. */
interface Listed {
  folders: Map<string, ListedFolder>;
  begun: Date;
}

type Note = (folders: Map<string, ListedFolder>) => void;

/**
 * What one store holds: its last complete listing, in few bytes, and what the manifests say, each of which is read when
 * it is first needed. A listing that breaks off changes nothing. 100,000 backups take less than 90 MiB, of which 9 MiB say
 * what their verifications have found.
 */
export class StoreCatalog {
  readonly #open: CatalogOptions["open"];
  readonly #facts: FactMemory;
  readonly #now: () => Date;
  #listed: Listed | undefined;
  /** What this process stored and removed while listings are under way, which may not show it. */
  readonly #underWay = new Set<Note[]>();
  /** Facts that were learned last: those of one folder have much in common. */
  #like: PackedFacts | undefined;
  /** What this process has stored, by cluster and name, as long as the store holds it. */
  readonly #stored = new Set<string>();
  readonly #claims = new FolderClaims();
  readonly #marks = new FolderMarks();

  constructor({ open, facts = new FactMemory(), now = () => new Date() }: CatalogOptions) {
    this.#open = open;
    this.#facts = facts;
    this.#now = now;
  }

  /** When the last complete listing began. Undefined before the first. */
  get listedAt(): Date | undefined {
    return this.#listed?.begun;
  }

  /** The number of backups, those with a problem too. */
  get count(): number {
    return this.#folders.values().reduce((sum, { backups }) => sum + backups.size, 0);
  }

  /** Whether the last listing shows the backup, or this process has stored it since. False before the first listing. */
  has(clusterName: string, name: string): boolean {
    return this.#listed?.folders.get(clusterName)?.backups.has(name) === true;
  }

  clusterNames(): string[] {
    return [...this.#folders.values()].flatMap(({ clusterName, backups }) =>
      backups.size === 0 ? [] : [clusterName],
    );
  }

  /** All backups, those with a problem too. */
  *backups(): Generator<CatalogedBackup> {
    for (const { clusterName, backups } of this.#folders.values())
      for (const { name, modified, dataBytes } of backups.values())
        yield { clusterName, name, modified, hasData: dataBytes !== undefined };
  }

  /** Whether this process has stored the backup. */
  wasStoredHere(clusterName: string, name: string): boolean {
    return this.#stored.has(`${clusterName}/${name}`);
  }

  /** Those of the given backups that the store holds and that have no problem. Reads the manifests not remembered. */
  async withoutProblem<T extends Pick<CatalogedBackup, "clusterName" | "name">>(
    wanted: readonly T[],
    signal: AbortSignal,
  ): Promise<T[]> {
    await using store = lazyReader(this.#open);
    const sound: T[] = [];
    for (let next = 0; next < wanted.length; next += manifestsInFlight) {
      const batch = wanted.slice(next, next + manifestsInFlight);
      const read = batch.map(async ({ clusterName, name }) => {
        const folder = this.#folders.get(clusterName);
        const backup = folder?.backups.get(name);
        if (folder === undefined || backup === undefined) return undefined;
        return this.#entryOf(store, { folder, backup, signal });
      });
      const entries = await Promise.all(read);
      sound.push(
        ...batch.filter((_, place) => {
          const entry = entries[place];
          return entry !== undefined && entry.problem === undefined;
        }),
      );
    }
    return sound;
  }

  get #folders(): CompactListing {
    if (this.#listed !== undefined) return this.#listed.folders;
    throw new OperatorError("NotFound", "the store has not been listed yet", { permanent: false });
  }

  /**
   * Lists the whole store. With `keepRest` resolves to the objects that are no part of a complete backup: data without a
   * manifest, claims, probes and objects of other names.
   */
  async refresh(
    store: Pick<Store, "list">,
    { keepRest = false, signal }: { keepRest?: boolean; signal: AbortSignal },
  ): Promise<ObjectInfo[]> {
    const begun = this.#now();
    const { listing, rest } = await this.#read(store.list("", { signal }), keepRest);
    this.#replace(listing);
    this.#listed = { folders: listing, begun };
    return rest;
  }

  /** Lists one folder anew, for what must not go by a listing that is some minutes old. */
  async refreshFolder(store: Pick<Store, "list">, clusterName: string, signal: AbortSignal): Promise<void> {
    const { listing } = await this.#read(store.list(`${clusterName}/`, { signal }), false);
    const folders = new Map(this.#folders);
    const folder = listing.get(clusterName);
    if (folder === undefined) folders.delete(clusterName);
    else folders.set(clusterName, folder);
    this.#replace(folders);
    if (this.#listed !== undefined) this.#listed.folders = folders;
  }

  /** Reads a listing, with what this process stores and removes meanwhile. */
  async #read(objects: AsyncIterable<ObjectInfo>, keepRest: boolean): Promise<ReadListing> {
    const notes: Note[] = [];
    this.#underWay.add(notes);
    try {
      const read = await readCompactListing(objects, { before: this.#listed?.folders, keepRest });
      for (const note of notes) note(read.listing);
      return read;
    } finally {
      this.#underWay.delete(notes);
    }
  }

  /** The facts of what is gone are forgotten. What has changed beside its manifest keeps them. */
  #replace(next: CompactListing): void {
    for (const [clusterName, { backups }] of this.#listed?.folders ?? []) {
      const now = next.get(clusterName)?.backups;
      for (const [name, backup] of backups) {
        const successor = now?.get(name);
        if (successor === backup) continue;
        if (successor?.facts === undefined) this.#facts.forget(backup);
        else this.#facts.move(backup, successor);
      }
    }
    for (const place of this.#stored) {
      const [clusterName = "", name = ""] = place.split("/");
      if (next.get(clusterName)?.backups.has(name) !== true) this.#stored.delete(place);
    }
    this.#claims.replace(next);
    this.#marks.replace(next);
  }

  /** Adds a backup that this process has stored. The next listing replaces it. `modified`: about when. */
  noteStored(manifest: Manifest, modified: Date): void {
    const { name, cluster, stored } = manifest;
    const own = ownNamesOf(cluster.name, { name });
    const place = own.indexOf(stored.object);
    const backup: ListedBackup = {
      name,
      version: "",
      size: encodeManifest(manifest).length,
      modified: modified.getTime(),
      dataBytes: place === -1 ? undefined : stored.bytes,
      isCompressed: place === 1,
      facts: undefined,
    };
    this.#stored.add(`${cluster.name}/${name}`);
    this.#note((folders) => {
      const folder = folders.get(cluster.name) ?? emptyFolder(cluster.name);
      folders.set(cluster.name, folder);
      if (folder.backups.has(name)) return;
      folder.backups.set(name, backup);
      this.#facts.learn(backup, packFacts(manifest, own, this.#like));
      folder.written = Math.max(folder.written, backup.modified);
    });
  }

  /** Removes a backup that this process has deleted from the store. */
  noteRemoved(clusterName: string, name: string): void {
    this.#note((folders) => {
      const backups = folders.get(clusterName)?.backups;
      const backup = backups?.get(name);
      if (backup !== undefined) this.#facts.forget(backup);
      backups?.delete(name);
    });
  }

  #note(note: Note): void {
    if (this.#listed !== undefined) note(this.#listed.folders);
    for (const notes of this.#underWay) notes.push(note);
  }

  /** The number of backups, and the latest complete one of the folder that was written last, by the store's clock. */
  summarize(store: Reader, signal: AbortSignal): Promise<Summary> {
    let readsLeft = mostReadsOfSummary;
    return summaryOf(this.#folders, {
      claimOf: (folder) => this.#claims.of(store, folder, signal),
      read: (folder, backup) => {
        if (!isKnown(backup)) readsLeft -= 1;
        return this.#markedEntryOf(store, { folder, backup, signal });
      },
      isSpent: (backup) => readsLeft <= 0 && !isKnown(backup),
    });
  }

  /**
   * All backups of one folder, newest first. Reads the manifests that are not remembered. Throws when one cannot be read,
   * or the folder's claim or record of verifications: none of these means that a backup is gone, or that it is sound.
   */
  async folder(clusterName: string, signal: AbortSignal): Promise<RetainableBackup[]> {
    const folder = this.#folders.get(clusterName);
    if (folder === undefined) return [];
    await using store = lazyReader(this.#open);
    const claim = await this.#claims.of(store, folder, signal);
    const marks = await this.#marks.failuresOf(store, folder, signal);
    const newestFirst = newestFirstOf(folder);
    const found: RetainableBackup[] = [];
    for (let next = 0; next < newestFirst.length; next += manifestsInFlight) {
      const batch = newestFirst.slice(next, next + manifestsInFlight);
      const read = batch.map((backup) => this.#entryOf(store, { folder, backup, signal }));
      for (const [place, entry] of (await Promise.all(read)).entries())
        if (entry !== undefined)
          found.push(
            retainableOf(marked(entry, marks), new Date(batch[place]?.modified ?? 0), claim, folder.claims),
          );
    }
    return found;
  }

  /** The folders in which backups may have failed their last verification. */
  failedFolders(): string[] {
    return [...this.#folders.values()]
      .filter((folder) => this.#marks.mayHaveFailed(folder))
      .map(({ clusterName }) => clusterName);
  }

  /** What the verifications in a folder have found. Throws when the record cannot be read. */
  async marksOf(store: Reader, clusterName: string, signal: AbortSignal): Promise<Marks> {
    const folder = this.#folders.get(clusterName);
    return folder === undefined ? noMarks : this.#marks.of(store, folder, signal);
  }

  /** The marks of a folder, as far as this process has read the record of its folder. */
  knownMarks(clusterName: string): Marks {
    return this.#marks.known(clusterName);
  }

  /** Notes what this process has found. `listed`: the record that it has stored; absent where it may store none. */
  noteMarks(clusterName: string, marks: Marks, listed?: ListedMarks): void {
    this.#note((folders) => {
      const folder = folders.get(clusterName);
      if (folder === undefined) return;
      if (listed === undefined) this.#marks.noteOwn(folder, marks);
      else {
        folder.marks = listed;
        this.#marks.noteStored(folder, listed, marks);
      }
    });
  }

  /** The names of a folder's backups, without those that only a later release can read, as far as that is known. */
  verifiable(clusterName: string): string[] {
    const backups = this.#folders.get(clusterName)?.backups.values() ?? [];
    return [...backups].filter(({ facts }) => !isLater(facts)).map(({ name }) => name);
  }

  /** Name of the latest complete backup of a folder. Reads the manifests not remembered. */
  async latestOf(store: Reader, clusterName: string, signal: AbortSignal): Promise<string | undefined> {
    const folder = this.#folders.get(clusterName);
    if (folder === undefined) return undefined;
    const { complete } = await latestInFolder(folder, await this.#claims.of(store, folder, signal), {
      read: (_, backup) => this.#markedEntryOf(store, { folder, backup, signal }),
      isSpent: () => false,
    });
    return complete?.name;
  }

  /** Who holds a folder. Undefined: nobody. Throws for a claim that cannot be used. */
  async writerOf(store: Reader, clusterName: string, signal: AbortSignal): Promise<string | undefined> {
    const folder = this.#folders.get(clusterName);
    return folder && (await this.#claims.of(store, folder, signal))?.writer?.id;
  }

  /** Frees the memory of the facts. */
  forget(): void {
    for (const { backups } of this.#listed?.folders.values() ?? [])
      for (const backup of backups.values()) this.#facts.forget(backup);
    this.#listed = undefined;
    this.#claims.clear();
    this.#marks.clear();
  }

  /** As `#entryOf`, with the failure of its last verification as its problem, unless that cannot be read. */
  async #markedEntryOf(
    store: Reader,
    at: { folder: ListedFolder; backup: ListedBackup; signal: AbortSignal },
  ): Promise<CatalogEntry<ManifestFacts> | undefined> {
    const entry = await this.#entryOf(store, at);
    const marks = await this.#marks.failuresOf(store, at.folder, at.signal).catch(() => noMarks);
    return entry && marked(entry, marks);
  }

  /** Undefined when the manifest was deleted after the listing. */
  async #entryOf(
    store: Reader,
    { folder, backup, signal }: { folder: ListedFolder; backup: ListedBackup; signal: AbortSignal },
  ): Promise<CatalogEntry<ManifestFacts> | undefined> {
    const own = ownNamesOf(folder.clusterName, backup);
    const listed = expand(folder, backup);
    const sizes = sizesFor(folder, backup);
    const { facts } = backup;
    if (facts !== undefined && isKnown(backup)) return entryFrom(facts, { listed, own, sizes });
    const entry = await readEntry(store, listed, sizes, signal);
    if (entry === undefined) return undefined;
    const learned = learnedFrom(entry, facts, (manifest) => packFacts(manifest, own, this.#like));
    const isListed = this.#listed?.folders.get(folder.clusterName)?.backups.get(backup.name) === backup;
    if (isListed) this.#facts.learn(backup, learned);
    if (!isUnusable(learned)) this.#like = learned;
    return entryFrom(learned, { listed, own, sizes });
  }
}
