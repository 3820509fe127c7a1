import { type Marks, merged, noMarks } from "../../core/verification/marks.ts";
import type { Store } from "../../store/store.ts";
import type { CompactListing, ListedFolder } from "./compact-listing.ts";
import { type ListedMarks, marksObject, readMarks } from "./verification.ts";

/**
 * What the verifications have found, by cluster name. A record is read when it is first needed, and again when the
 * listing shows another one. Marks of backups that are not listed are not kept.
 */
export class FolderMarks {
  readonly #known = new Map<string, { object: string; marks: Marks }>();
  /** What this process has found in a store that it may not write to. */
  readonly #own = new Map<string, Marks>();

  /** Throws when the record cannot be read. */
  async of(store: Pick<Store, "get" | "list">, folder: ListedFolder, signal: AbortSignal): Promise<Marks> {
    const { clusterName, marks: listed } = folder;
    const stored = listed === undefined ? noMarks : await this.#stored(store, folder, listed, signal);
    const own = this.#own.get(clusterName);
    return own === undefined ? stored : merged(stored, own);
  }

  /** What is in memory. */
  known(clusterName: string): Marks {
    const stored = this.#known.get(clusterName)?.marks ?? noMarks;
    return merged(stored, this.#own.get(clusterName) ?? noMarks);
  }

  /** As `of`, without a look at the store where nothing in the folder has failed. */
  async failuresOf(
    store: Pick<Store, "get" | "list">,
    folder: ListedFolder,
    signal: AbortSignal,
  ): Promise<Marks> {
    return this.mayHaveFailed(folder) ? this.of(store, folder, signal) : noMarks;
  }

  mayHaveFailed({ clusterName, marks }: ListedFolder): boolean {
    return marks?.hasFailed === true || (this.#own.get(clusterName)?.problems.size ?? 0) > 0;
  }

  async #stored(
    store: Pick<Store, "get" | "list">,
    folder: ListedFolder,
    listed: ListedMarks,
    signal: AbortSignal,
  ): Promise<Marks> {
    const { clusterName } = folder;
    const object = marksObject(clusterName, listed);
    const known = this.#known.get(clusterName);
    if (known?.object === object) return known.marks;
    const marks = sharing(folder, await readMarks(store, { clusterName, listed }, signal));
    this.#known.set(clusterName, { object, marks });
    return marks;
  }

  /** Notes a record that this process has stored. */
  noteStored(folder: ListedFolder, listed: ListedMarks, marks: Marks): void {
    const { clusterName } = folder;
    this.#known.set(clusterName, { object: marksObject(clusterName, listed), marks: sharing(folder, marks) });
  }

  /** Notes what this process has found and may not store. */
  noteOwn(folder: ListedFolder, marks: Marks): void {
    this.#own.set(folder.clusterName, sharing(folder, marks));
  }

  /** Forgets the folders that are gone. */
  replace(next: CompactListing): void {
    for (const [clusterName, { object }] of this.#known) {
      const listed = next.get(clusterName)?.marks;
      if (listed === undefined || marksObject(clusterName, listed) !== object)
        this.#known.delete(clusterName);
    }
    for (const clusterName of this.#own.keys()) if (!next.has(clusterName)) this.#own.delete(clusterName);
  }

  clear(): void {
    this.#known.clear();
    this.#own.clear();
  }
}

/** The marks of the listed backups, with the names that the listing holds, so that memory holds each name once. */
function sharing({ backups }: ListedFolder, { verified, problems }: Marks): Marks {
  const shared = <V>(marks: ReadonlyMap<string, V>) =>
    new Map(
      [...marks].flatMap(([name, value]): [string, V][] => {
        const listed = backups.get(name);
        return listed === undefined ? [] : [[listed.name, value]];
      }),
    );
  return { verified: shared(verified), problems: shared(problems) };
}
