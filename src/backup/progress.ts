import type { HashGroup } from "../core/etcd/hash-agreement.ts";
import type { ChosenMember } from "../core/etcd/member-choice.ts";

/** The steps of a save, in order, for status, events and the progress display. */
export type SaveStep =
  | { step: "MemberSelected"; choice: ChosenMember }
  /** The rate limit delays HashKV of this member by `ms`. */
  | { step: "HashPause"; member: string; ms: number }
  /** `ageMs`: how long ago an earlier save compared the members. Absent when this one did. */
  | { step: "HashesAgree"; members: string[]; hash: number; revision: number; ageMs?: number }
  | { step: "HashesDisagree"; groups: HashGroup[]; member: string }
  | { step: "HashesUnknown"; reason: string }
  /** The cluster has one voting member, so HashKV would prove nothing. */
  | { step: "HashesNotNeeded"; member: string }
  | { step: "Streaming"; readBytes: number; totalBytes: number }
  /** After the last byte the member had no leader, or did not tell. The snapshot had quorum at its first byte. */
  | { step: "QuorumNotConfirmed"; member: string; reason: string }
  | { step: "ReadingBack"; readBytes: number; totalBytes: number };
