import type { AuditedWrite } from "./audit.ts";

/** Times are milliseconds since the epoch; every process and server is on one machine. */
export interface Sent {
  at: number;
  writer: string;
  /** Method and path. */
  request: string;
}

/** A process stood still. */
export interface Stop {
  writer: string;
  until: number;
}

/** From when on somebody holds the Lease; "" for nobody. */
export interface Term {
  at: number;
  resourceVersion: number;
  holder: string;
}

export interface Judged {
  /** Acts of somebody who did not hold the Lease and had no excuse. */
  violations: string[];
  /** Acts that were under way when the term ended: sent before, or the one thing that a stopped process was about to do. */
  underWay: string[];
}

/** A stopped process does at most what it had decided to do right before, and does it at once. */
const afterStopMs = 1_000;

/**
 * Two at work at a time? Writes in the API server are judged by their order in its etcd, acts on the store and
 * removals by the clock. Holds across rounds, since a term is longer than one.
 */
export class Leaders {
  readonly terms: Term[] = [];

  /** All of them since the last call, in any order. */
  judge(seen: {
    writes: readonly AuditedWrite[];
    sent: readonly Sent[];
    stored: readonly Sent[];
    stops: readonly Stop[];
  }): Judged {
    const writes = seen.writes.toSorted((a, b) => a.resourceVersion - b.resourceVersion);
    for (const write of writes) if (write.holder !== undefined) this.#lease(write, write.holder);
    const judged: Judged = { violations: [], underWay: [] };
    const unused = { sent: [...seen.sent], stops: [...seen.stops] };
    for (const write of writes.filter(({ holder }) => holder === undefined)) {
      const term = this.#termAt((t) =>
        write.removed ? t.at <= write.receivedAt : t.resourceVersion < write.resourceVersion,
      );
      if (holdsIn(term, write.writer)) continue;
      const what = `PATCH of ${write.name}/${write.subresource} (resourceVersion ${write.resourceVersion})`;
      const early = unused.sent.findIndex(
        ({ at, writer, request }) =>
          writer === write.writer && at <= (term?.at ?? 0) && request.includes(`/${write.name}`),
      );
      if (early >= 0) unused.sent.splice(early, 1);
      const told = tell(what, { writer: write.writer, at: write.receivedAt }, term);
      if (early >= 0 || excused(unused.stops, write.writer, write.receivedAt)) judged.underWay.push(told);
      else judged.violations.push(told);
    }
    for (const act of seen.stored.toSorted((a, b) => a.at - b.at)) {
      const term = this.#termAt((t) => t.at <= act.at);
      if (holdsIn(term, act.writer)) continue;
      const told = tell(act.request, act, term);
      (excused(unused.stops, act.writer, act.at) ? judged.underWay : judged.violations).push(told);
    }
    return judged;
  }

  #lease({ doneAt, resourceVersion }: AuditedWrite, identity: string): void {
    const holder = identity.replace(/_.*/, "");
    if (this.terms.at(-1)?.holder !== holder) this.terms.push({ at: doneAt, resourceVersion, holder });
  }

  #termAt(which: (term: Term) => boolean): Term | undefined {
    return this.terms.findLast(which);
  }
}

/** Before the first term that was seen, nothing is known. */
function holdsIn(term: Term | undefined, writer: string): boolean {
  return term === undefined || term.holder === writer;
}

function excused(stops: Stop[], writer: string, at: number): boolean {
  const index = stops.findIndex(
    (stop) => stop.writer === writer && stop.until <= at && at <= stop.until + afterStopMs,
  );
  if (index >= 0) stops.splice(index, 1);
  return index >= 0;
}

function tell(what: string, { writer, at }: { writer: string; at: number }, term: Term | undefined): string {
  const since = new Date(term?.at ?? 0).toISOString();
  const holder = term?.holder === "" ? "nobody" : term?.holder;
  return `${writer}: ${what} at ${new Date(at).toISOString()}, while ${holder} held the lease since ${since}`;
}
