import {
  type BackupName,
  dataObjectsOf,
  parseBackupName,
  parseDataObject,
  parseManifestObject,
} from "../../core/backup/name.ts";
import { OperatorError } from "../../core/errors.ts";
import type { ObjectInfo } from "../../store/store.ts";
import { type ClaimListing, noteClaim } from "./claim.ts";
import type { Remembered } from "./facts.ts";
import type { DataSizes, ListedManifest } from "./listing.ts";
import { type ListedMarks, noteMarks } from "./verification.ts";

/** A manifest and the data object of its run, as a listing shows them, and what is remembered of the manifest. */
export interface ListedBackup {
  /** The backup's name. */
  readonly name: string;
  /** Changes with the manifest's bytes. Empty: this process stored it, and no listing has shown it yet. */
  readonly version: string;
  /** Bytes of the manifest. */
  readonly size: number;
  /** When the manifest was stored, by the store's clock: milliseconds since the epoch. */
  readonly modified: number;
  /** Bytes of the run's data object. Undefined: there is none. */
  readonly dataBytes: number | undefined;
  /** Whether the name of that object ends with `.zst`. */
  readonly isCompressed: boolean;
  facts: Remembered | undefined;
}

/** The folder of one cluster name. */
export interface ListedFolder {
  readonly clusterName: string;
  /** By name. In ascending order, except for what this process has stored since the listing. */
  readonly backups: Map<string, ListedBackup>;
  /** Bytes of the other data objects, by object name. */
  readonly otherData: Map<string, number>;
  /** When its newest manifest was stored, by the store's clock: milliseconds since the epoch. */
  written: number;
  claims: ClaimListing | undefined;
  /** Changes with the bytes of the claim that counts. */
  claimVersion: string;
  /** The record of its verifications. */
  marks: ListedMarks | undefined;
}

/** By cluster name. */
export type CompactListing = ReadonlyMap<string, ListedFolder>;

export function emptyFolder(clusterName: string): ListedFolder {
  return {
    clusterName,
    backups: new Map(),
    otherData: new Map(),
    written: 0,
    claims: undefined,
    claimVersion: "",
    marks: undefined,
  };
}

/** The names that the data object of the backup's run has: without compression, and with it. */
export function ownNamesOf(clusterName: string, listed: Pick<ListedBackup, "name">): [string, string] {
  return dataObjectsOf(clusterName, parsedName(listed));
}

/** The sizes of the objects that a manifest of this backup may name. */
export function sizesFor({ clusterName, otherData }: ListedFolder, listed: ListedBackup): DataSizes {
  const own = ownNamesOf(clusterName, listed)[listed.isCompressed ? 1 : 0];
  return { get: (object) => (object === own ? listed.dataBytes : otherData.get(object)) };
}

function parsedName({ name }: Pick<ListedBackup, "name">): BackupName {
  const backup = parseBackupName(name);
  if (backup === undefined) throw new OperatorError("Internal", `${name} is not a backup's name`);
  return backup;
}

export function expand({ clusterName }: ListedFolder, listed: ListedBackup): ListedManifest {
  const { name, size, modified } = listed;
  const object = { name: `${clusterName}/${name}.json`, size, modified: new Date(modified) };
  return { object, clusterName, name, backup: parsedName(listed) };
}

/** A copy that keeps no larger text alive, as a part of a text does. */
function copyOf(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}

function versionOf({ etag, size, modified }: ObjectInfo): string {
  return etag ?? `${size}-${modified.getTime()}`;
}

export function newestFirstOf({ backups }: ListedFolder): ListedBackup[] {
  return [...backups.values()].toSorted((a, b) => (a.name > b.name ? -1 : a.name < b.name ? 1 : 0));
}

/** The objects of one folder whose names begin with one time: all those of a run are among them. */
interface Group {
  prefix: string;
  clusterName: string;
  manifests: { name: string; runId: string; object: ObjectInfo }[];
  data: { runId: string; object: ObjectInfo }[];
}

/** What one listing of a whole store holds. */
export interface ReadListing {
  listing: Map<string, ListedFolder>;
  /** The objects that are no part of a complete backup. Empty unless asked for. */
  rest: ObjectInfo[];
}

/** Reads a listing of a whole store. What has not changed since `before` is shared with it, so memory holds it once. */
export async function readCompactListing(
  objects: AsyncIterable<ObjectInfo> | Iterable<ObjectInfo>,
  { before, keepRest = false }: { before: CompactListing | undefined; keepRest?: boolean },
): Promise<ReadListing> {
  const builder = new ListingBuilder(before, keepRest);
  for await (const object of objects) builder.add(object);
  return builder.end();
}

class ListingBuilder {
  readonly #listing = new Map<string, ListedFolder>();
  readonly #claims = new Map<string, ClaimListing>();
  readonly #claimVersions = new Map<string, string>();
  readonly #marks = new Map<string, ListedMarks>();
  readonly #rest: ObjectInfo[] = [];
  readonly #before: CompactListing | undefined;
  readonly #keepsRest: boolean;
  #group: Group | undefined;
  #previous = "";

  constructor(before: CompactListing | undefined, keepsRest: boolean) {
    this.#before = before;
    this.#keepsRest = keepsRest;
  }

  add(object: ObjectInfo): void {
    // Data whose manifest comes in another place would pass for orphaned.
    if (object.name <= this.#previous)
      throw new OperatorError("StoreFailed", `${object.name} is listed after ${this.#previous}`);
    this.#previous = object.name;
    const manifest = parseManifestObject(object.name);
    if (manifest !== undefined) {
      const { clusterName, name, backup } = manifest;
      this.#groupOf(clusterName, object).manifests.push({ name, runId: backup.runId, object });
      return;
    }
    const data = parseDataObject(object.name);
    if (data !== undefined) {
      this.#groupOf(data.clusterName, object).data.push({ runId: data.runId, object });
      return;
    }
    if (noteClaim(this.#claims, object))
      this.#claimVersions.set(copyOf(object.name.slice(0, object.name.indexOf("/"))), versionOf(object));
    else noteMarks(this.#marks, object);
    this.#keep(object);
  }

  end(): ReadListing {
    this.#endGroup();
    for (const [clusterName, claims] of this.#claims) {
      const folder = this.#folderOf(clusterName);
      folder.claims = claims;
      folder.claimVersion = this.#claimVersions.get(clusterName) ?? "";
    }
    for (const [clusterName, marks] of this.#marks) this.#folderOf(clusterName).marks = marks;
    return { listing: this.#listing, rest: this.#rest };
  }

  #keep(object: ObjectInfo): void {
    if (this.#keepsRest) this.#rest.push(object);
  }

  #folderOf(clusterName: string): ListedFolder {
    const known = this.#listing.get(clusterName);
    if (known !== undefined) return known;
    const folder = emptyFolder(copyOf(clusterName));
    this.#listing.set(folder.clusterName, folder);
    return folder;
  }

  #groupOf(clusterName: string, { name }: ObjectInfo): Group {
    const prefix = name.slice(0, name.indexOf("-", clusterName.length));
    if (this.#group?.prefix === prefix) return this.#group;
    this.#endGroup();
    this.#group = { prefix, clusterName, manifests: [], data: [] };
    return this.#group;
  }

  #endGroup(): void {
    const group = this.#group;
    if (group === undefined) return;
    this.#group = undefined;
    const folder = this.#folderOf(group.clusterName);
    const data = new Map<string, ObjectInfo>();
    const runs = new Set(group.manifests.map(({ runId }) => runId));
    for (const { runId, object } of group.data) {
      const isOwn = runs.has(runId) && !data.has(runId);
      if (isOwn) data.set(runId, object);
      else folder.otherData.set(copyOf(object.name), object.size);
      if (!runs.has(runId)) this.#keep(object);
    }
    for (const { name, runId, object } of group.manifests) {
      const listed = this.#listed(group.clusterName, name, object, data.get(runId));
      folder.backups.set(listed.name, listed);
      folder.written = Math.max(folder.written, listed.modified);
    }
  }

  #listed(clusterName: string, name: string, object: ObjectInfo, data: ObjectInfo | undefined): ListedBackup {
    const version = versionOf(object);
    const dataBytes = data?.size;
    const isCompressed = data?.name.endsWith(".zst") === true;
    const known = this.#before?.get(clusterName)?.backups.get(name);
    // One that this process stored and has not seen in a listing has no version yet.
    const isSame = known?.size === object.size && (known.version === version || known.version === "");
    const isSameData = known?.dataBytes === dataBytes && known?.isCompressed === isCompressed;
    if (isSame && isSameData && known.version === version) return known;
    return {
      name: copyOf(name),
      version: copyOf(version),
      size: object.size,
      modified: object.modified.getTime(),
      dataBytes,
      isCompressed,
      facts: isSame ? known.facts : undefined,
    };
  }
}
