import { viewOf } from "../../bbolt/page.ts";
import { decodeAlarm, type SnapshotAlarm } from "./alarm.ts";
import { decodeMember, type SnapshotMember } from "./member.ts";
import type { RetainedPair } from "./pair-arena.ts";
import { mainPart, revisionProblem } from "./revision-key.ts";

/** The buckets that hold metadata pairs. */
export const metadataBuckets: ReadonlySet<string> = new Set(["meta", "members", "cluster", "alarm", "auth"]);

/** The keys of the metadata pairs that have a fixed key. */
export const metadataKeys = {
  consistentIndex: "consistent_index",
  term: "term",
  storageVersion: "storageVersion",
  scheduledCompactRevision: "scheduledCompactRev",
  finishedCompactRevision: "finishedCompactRev",
  clusterVersion: "clusterVersion",
  authEnabled: "authEnabled",
} as const;

/**
 * What the small buckets of a database hold. A field is undefined where it is unknown: a sound file may hold more
 * stale pages that look like those of the small buckets than RetainedPairs has room for, before the pages in use.
 */
export interface SnapshotMetadata {
  /** Raft index that the database's contents include; 0 when the file has none. */
  consistentIndex: bigint | undefined;
  /** Raft term of that index; 0 in files of etcd 3.4. */
  term: bigint | undefined;
  /** The last revision whose compaction was scheduled or finished; -1 when none was. */
  compactRevision: number | undefined;
  /** Such as `3.6.0`; "" when the file has none. */
  clusterVersion: string;
  members: SnapshotMember[] | undefined;
  alarms: SnapshotAlarm[] | undefined;
  authEnabled: boolean | undefined;
  leases: number;
}

/** Collects the metadata of one database from the pairs of its small buckets. */
export class MetadataReader {
  readonly #incomplete = new Set<string>();
  readonly #members: SnapshotMember[] = [];
  readonly #alarms: SnapshotAlarm[] = [];
  #consistentIndex = 0n;
  #term = 0n;
  #compactRevision = -1;
  #clusterVersion = "";
  #storageVersion = "";
  #authEnabled = false;
  #leases = 0;

  /** Returns what is wrong with a pair that etcd itself could not read, else undefined. */
  add(bucket: string, { key, value }: RetainedPair): string | undefined {
    const name = key.toString("latin1");
    switch (bucket) {
      case "meta":
        return this.#addMeta(name, value);
      case "cluster":
        if (name === metadataKeys.clusterVersion) this.#clusterVersion = value.toString();
        return undefined;
      case "auth":
        if (name === metadataKeys.authEnabled) this.#authEnabled = value.length === 1 && value[0] === 1;
        return undefined;
      case "members": {
        const member = decodeMember(name, value);
        if (member === undefined) return `members/${name} is not a JSON object`;
        this.#members.push(member);
        return undefined;
      }
      case "alarm": {
        const alarm = decodeAlarm(key);
        if (alarm === undefined) return `a key of bucket "alarm" is not an alarm`;
        this.#alarms.push(alarm);
        return undefined;
      }
      default:
        return undefined;
    }
  }

  addLeases(count: number): void {
    this.#leases += count;
  }

  /** Some pairs of the bucket were not retained. Versions are always retained and added. */
  markIncomplete(bucket: string): void {
    this.#incomplete.add(bucket);
  }

  /** The storage version is "" when the file has none. */
  finish(): { metadata: SnapshotMetadata; storageVersion: string } {
    const known = <T>(bucket: string, value: T) => (this.#incomplete.has(bucket) ? undefined : value);
    const metadata: SnapshotMetadata = {
      consistentIndex: known("meta", this.#consistentIndex),
      term: known("meta", this.#term),
      compactRevision: known("meta", this.#compactRevision),
      clusterVersion: this.#clusterVersion,
      members: known("members", this.#members),
      alarms: known("alarm", this.#alarms),
      authEnabled: known("auth", this.#authEnabled),
      leases: this.#leases,
    };
    return { metadata, storageVersion: this.#storageVersion };
  }

  #addMeta(name: string, value: Buffer): string | undefined {
    switch (name) {
      case metadataKeys.consistentIndex:
      case metadataKeys.term: {
        if (value.length !== 8) return `meta/${name} is not 8 bytes long`;
        const index = value.readBigUInt64BE();
        if (name === metadataKeys.term) this.#term = index;
        else this.#consistentIndex = index;
        return undefined;
      }
      case metadataKeys.scheduledCompactRevision:
      case metadataKeys.finishedCompactRevision: {
        if (revisionProblem(viewOf(value), 0, value.length) !== 0) return `meta/${name} is not a revision`;
        this.#compactRevision = Math.max(this.#compactRevision, mainPart(value, 0));
        return undefined;
      }
      case metadataKeys.storageVersion:
        this.#storageVersion = value.toString();
        return undefined;
      default:
        return undefined;
    }
  }
}
