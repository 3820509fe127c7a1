import { viewOf } from "../../bbolt/page.ts";
import type { KeptPair } from "./pair-arena.ts";
import { mainPart, revisionProblem } from "./revision-key.ts";

/** Buckets of which some pairs are facts. */
export const metadataBuckets: ReadonlySet<string> = new Set(["meta", "members", "cluster", "alarm", "auth"]);

/**
 * What the small buckets tell. A fact is undefined where it cannot be told: a file may hold so many pages that only
 * look like those of the small buckets that the right ones, coming after, find no room until it is known which they
 * are. Nothing is wrong with such a file.
 */
export interface SnapshotMetadata {
  /** Raft index that the database's contents include; 0 when the file has none. */
  consistentIndex: bigint | undefined;
  /** Raft term of it; 0 in files of etcd 3.4. */
  term: bigint | undefined;
  /** The last revision whose compaction was scheduled or finished; -1 when none was. */
  compactRevision: number | undefined;
  /** As `3.6.0`; "" when the file has none. */
  clusterVersion: string;
  members: SnapshotMember[] | undefined;
  alarms: SnapshotAlarm[] | undefined;
  authEnabled: boolean | undefined;
  leases: number;
}

export interface SnapshotMember {
  /** Hex, as etcd prints it. */
  id: string;
  name: string;
  peerURLs: string[];
  clientURLs: string[];
  isLearner: boolean;
}

export interface SnapshotAlarm {
  /** Hex; "0" when no one member is to blame. */
  memberID: string;
  /** NOSPACE or CORRUPT; another one as `alarm 3`. */
  alarm: string;
}

/** Gathers the facts of one database from the pairs of its small buckets. */
export interface MetadataReader {
  /** Returns what is wrong with a pair that etcd itself could not read. */
  add(bucket: string, pair: KeptPair): string | undefined;
  addLeases(count: number): void;
  /** Some pairs of the bucket are not to be had; versions are among those added all the same. */
  lose(bucket: string): void;
  /** The storage version is "" when there is none. */
  finish(): { metadata: SnapshotMetadata; storageVersion: string };
}

export function createMetadataReader(): MetadataReader {
  const lost = new Set<string>();
  const members: SnapshotMember[] = [];
  const alarms: SnapshotAlarm[] = [];
  let consistentIndex = 0n;
  let term = 0n;
  let compactRevision = -1;
  let clusterVersion = "";
  let storageVersion = "";
  let authEnabled = false;
  let leases = 0;

  function addMeta(name: string, value: Buffer): string | undefined {
    switch (name) {
      case "consistent_index":
      case "term": {
        if (value.length !== 8) return `meta/${name} is not of 8 bytes`;
        const index = value.readBigUInt64BE();
        if (name === "term") term = index;
        else consistentIndex = index;
        return undefined;
      }
      case "scheduledCompactRev":
      case "finishedCompactRev": {
        if (revisionProblem(viewOf(value), 0, value.length) !== 0) return `meta/${name} is no revision`;
        compactRevision = Math.max(compactRevision, mainPart(value, 0));
        return undefined;
      }
      case "storageVersion":
        storageVersion = value.toString();
        return undefined;
      default:
        return undefined;
    }
  }

  return {
    add(bucket, { key, value }) {
      const name = key.toString("latin1");
      switch (bucket) {
        case "meta":
          return addMeta(name, value);
        case "cluster":
          if (name === "clusterVersion") clusterVersion = value.toString();
          return undefined;
        case "auth":
          if (name === "authEnabled") authEnabled = value.length === 1 && value[0] === 1;
          return undefined;
        case "members": {
          const member = decodeMember(name, value);
          if (member === undefined) return `members/${name} is no JSON object`;
          members.push(member);
          return undefined;
        }
        case "alarm": {
          const alarm = decodeAlarm(key);
          if (alarm === undefined) return "an alarm's entry is damaged";
          alarms.push(alarm);
          return undefined;
        }
        default:
          return undefined;
      }
    },
    addLeases(count) {
      leases += count;
    },
    lose(bucket) {
      lost.add(bucket);
    },
    finish() {
      const known = <T>(bucket: string, fact: T) => (lost.has(bucket) ? undefined : fact);
      const metadata: SnapshotMetadata = {
        consistentIndex: known("meta", consistentIndex),
        term: known("meta", term),
        compactRevision: known("meta", compactRevision),
        clusterVersion,
        members: known("members", members),
        alarms: known("alarm", alarms),
        authEnabled: known("auth", authEnabled),
        leases,
      };
      return { metadata, storageVersion };
    },
  };
}

/** The id is taken from the key: in the JSON it is a number beyond 2^53. */
function decodeMember(id: string, value: Buffer): SnapshotMember | undefined {
  let entry: unknown;
  try {
    entry = JSON.parse(value.toString());
  } catch {
    return undefined;
  }
  if (typeof entry !== "object" || entry === null) return undefined;
  const fields = new Map<string, unknown>(Object.entries(entry));
  const name = fields.get("name");
  return {
    id,
    name: typeof name === "string" ? name : "",
    peerURLs: strings(fields.get("peerURLs")),
    clientURLs: strings(fields.get("clientURLs")),
    isLearner: fields.get("isLearner") === true,
  };
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

/** etcdserverpb.AlarmMember: memberID = 1 (u64), alarm = 2 (enum), both varints. */
function decodeAlarm(bytes: Uint8Array): SnapshotAlarm | undefined {
  let member = 0n;
  let alarm = 0n;
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at++];
    if (tag !== 0x08 && tag !== 0x10) return undefined;
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 63n) return undefined;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    if (tag === 0x08) member = value;
    else alarm = value;
  }
  const names: Record<string, string> = { "0": "NONE", "1": "NOSPACE", "2": "CORRUPT" };
  return { memberID: member.toString(16), alarm: names[alarm.toString()] ?? `alarm ${alarm}` };
}
