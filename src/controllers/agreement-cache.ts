import type { Agreement, Agreements, ObservedMembers } from "../backup/agreements.ts";
import { mayReuse, reuseForMs, votersKey } from "../core/etcd/hash-reuse.ts";
import type { MemberFacts } from "../core/etcd/member-choice.ts";

interface Entry extends ObservedMembers {
  tenant: string;
  agreement: Agreement;
  since: number;
}

const defaultCapacity = 1000;

/**
 * Agreements of HashKV, for an hour and in this process: the members are not scanned again for each backup. An agreement
 * is found only by its tenant, with the same connection, for the same cluster ID and the same members at the same
 * endpoints. A tenant could answer for any ID, at endpoints that another tenant gets later.
 */
export class AgreementCache {
  /** The longest unused first. */
  readonly #entries = new Map<string, Entry>();
  readonly #capacity: number;
  readonly #now: () => number;

  constructor({ capacity = defaultCapacity, now = () => performance.now() } = {}) {
    this.#capacity = capacity;
    this.#now = now;
  }

  /** `tenant`: the namespace. `connection`: everything else that decides what answers at an endpoint. */
  of({ tenant, connection }: { tenant: string; connection: string }): Agreements {
    const keyOf = ({ clusterId, members }: ObservedMembers) =>
      JSON.stringify([tenant, connection, clusterId, votersKey(members)]);
    return {
      now: this.#now,
      find: (observed) => this.#find(keyOf(observed), observed.members),
      keep: ({ clusterId, members }, agreement, since) =>
        this.#keep(keyOf({ clusterId, members }), { clusterId, members, tenant, agreement, since }),
      drop: (clusterId) => this.#drop(tenant, clusterId),
    };
  }

  #find(key: string, members: readonly MemberFacts[]): ReturnType<Agreements["find"]> {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const ageMs = this.#now() - entry.since;
    this.#entries.delete(key);
    if (ageMs > reuseForMs) return undefined;
    this.#entries.set(key, entry);
    const { agreement } = entry;
    if (!mayReuse({ before: entry.members, revision: agreement.revision }, members)) return undefined;
    return { agreement, ageMs };
  }

  #keep(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > this.#capacity && oldest !== undefined) this.#entries.delete(oldest);
  }

  #drop(tenant: string, clusterId: string): void {
    for (const [key, entry] of this.#entries)
      if (entry.tenant === tenant && entry.clusterId === clusterId) this.#entries.delete(key);
  }
}
