import { type CatalogEntry, type DataSizes, type ListedManifest, dataProblem } from "./listing.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { type Series, isSameSeries } from "../../core/backup/series.ts";

/** What the catalog keeps of a manifest. */
export interface ManifestFacts {
  cluster: { id: string };
  /** RFC 3339. */
  run: { startedAt: string; completedAt: string };
  stored: { object: string; bytes: number };
  series?: Series;
  owner?: NonNullable<Manifest["owner"]>;
}

/** The facts of a manifest in few bytes: a catalog holds 100,000 of them. Times are in milliseconds since the epoch. */
export interface PackedFacts {
  clusterId: string;
  startedAt: number;
  completedAt: number;
  /** The place of the object's name in `OwnNames`. */
  object: number;
  bytes: number;
  series: Series | undefined;
  owner: Manifest["owner"];
}

/** The names that the data object of a run has. */
export type OwnNames = readonly string[];

/** A manifest that cannot be used. */
export interface UnusableManifest extends Pick<CatalogEntry, "isOfLaterRelease"> {
  problem: string;
  /** How often it was read. A short answer of the store looks like damage, so one read does not settle it. */
  reads: number;
}

export type Remembered = PackedFacts | UnusableManifest;

export function isUnusable(remembered: Remembered): remembered is UnusableManifest {
  return "problem" in remembered;
}

/** Whether only a later release can read the manifest, as far as that is known. */
export function isLater(remembered: Remembered | undefined): boolean {
  return remembered !== undefined && isUnusable(remembered) && remembered.isOfLaterRelease === true;
}

/** Whether the manifest need not be read. */
export function isKnown({ facts }: Holder): boolean {
  return facts !== undefined && !(isUnusable(facts) && facts.reads < 2);
}

/** What to remember of a manifest that was read. `before`: what was remembered of it. */
export function learnedFrom(
  { manifest, problem = "", isOfLaterRelease }: CatalogEntry,
  before: Remembered | undefined,
  pack: (manifest: Manifest) => PackedFacts,
): Remembered {
  if (manifest !== undefined) return pack(manifest);
  const reads = before !== undefined && isUnusable(before) ? before.reads + 1 : 1;
  return { problem, reads, ...(isOfLaterRelease === undefined ? {} : { isOfLaterRelease }) };
}

export function entryFrom(
  remembered: Remembered,
  { listed, own, sizes }: { listed: ListedManifest; own: OwnNames; sizes: DataSizes },
): CatalogEntry<ManifestFacts> {
  const { name, clusterName, backup } = listed;
  const entry = { name, clusterName, time: backup.time, revision: backup.revision };
  if (isUnusable(remembered)) {
    const { problem, isOfLaterRelease } = remembered;
    return { ...entry, problem, ...(isOfLaterRelease === undefined ? {} : { isOfLaterRelease }) };
  }
  const manifest = unpackFacts(remembered, own);
  const problem = dataProblem(manifest.stored, sizes);
  return { ...entry, manifest, ...(problem === undefined ? {} : { problem }) };
}

/** `like`: facts whose equal parts are shared. */
export function packFacts(manifest: Manifest, own: OwnNames, like?: PackedFacts): PackedFacts {
  const { cluster, run, stored, owner } = manifest;
  const { series } = manifest;
  const isAlike = series !== undefined && like?.series !== undefined && isSameSeries(series, like.series);
  return {
    clusterId: cluster.id === like?.clusterId ? like.clusterId : cluster.id,
    startedAt: Date.parse(run.startedAt),
    completedAt: Date.parse(run.completedAt),
    object: own.indexOf(stored.object),
    bytes: stored.bytes,
    series: isAlike ? like?.series : series,
    owner: owner && {
      kind: owner.kind === like?.owner?.kind ? like.owner.kind : owner.kind,
      namespace: owner.namespace === like?.owner?.namespace ? like.owner.namespace : owner.namespace,
      name: owner.name,
      uid: owner.uid,
    },
  };
}

function unpackFacts(packed: PackedFacts, own: OwnNames): ManifestFacts {
  const { clusterId, startedAt, completedAt, object, bytes, series, owner } = packed;
  return {
    cluster: { id: clusterId },
    run: { startedAt: textOf(startedAt), completedAt: textOf(completedAt) },
    stored: { object: own[object] ?? "", bytes },
    ...(series === undefined ? {} : { series }),
    ...(owner === undefined ? {} : { owner }),
  };
}

/** A manifest may name a time that does not exist, such as month 13. */
function textOf(time: number): string {
  return new Date(Number.isNaN(time) ? 0 : time).toISOString();
}

/** Who may hold facts. */
interface Holder {
  facts: Remembered | undefined;
}

/** Facts that all catalogs of a process remember together. */
const mostFacts = 100_000;

/** Bounds the facts in memory: of more than `most` the ones that were learned first are dropped. */
export class FactMemory {
  readonly #holders = new Set<Holder>();
  readonly #most: number;

  constructor(most = mostFacts) {
    this.#most = most;
  }

  get size(): number {
    return this.#holders.size;
  }

  learn(holder: Holder, facts: Remembered): void {
    holder.facts = facts;
    this.#holders.add(holder);
    if (this.#holders.size <= this.#most) return;
    for (const oldest of this.#holders) {
      oldest.facts = undefined;
      this.#holders.delete(oldest);
      return;
    }
  }

  /** `to` takes the place of `from`. */
  move(from: Holder, to: Holder): void {
    if (this.#holders.delete(from) && to.facts !== undefined) this.#holders.add(to);
  }

  forget(holder: Holder): void {
    this.#holders.delete(holder);
  }
}
