import type { MemberFacts } from "../core/etcd/member-choice.ts";
import type { Manifest } from "./manifest/manifest.ts";

export type Agreement = NonNullable<Manifest["hashKV"]>;

export interface ObservedMembers {
  clusterId: string;
  members: readonly MemberFacts[];
}

/** The comparisons of one connection in which every voting member was compared and all hashes were equal. */
export interface Agreements {
  /** Monotonic milliseconds. */
  now(): number;
  /** The agreement that still holds for these members. */
  find(observed: ObservedMembers): { agreement: Agreement; ageMs: number } | undefined;
  /** Keeps an agreement of all voting members. `since`: when its revision was chosen, by `now`. */
  keep(observed: ObservedMembers, agreement: Agreement, since: number): void;
  /** Forgets every agreement of the cluster, since its members were found to disagree. */
  drop(clusterId: string): void;
}
