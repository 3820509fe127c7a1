import type { AuditedWrite } from "./audit.ts";

/** A request of an operator. Times are milliseconds since the epoch; all processes are on one machine. */
export interface Sent {
  at: number;
  writer: string;
  /** Method and path. */
  request: string;
}

/** The end of a pause of an operator process. */
export interface Stop {
  writer: string;
  until: number;
}

/** The beginning of a term: who holds the Lease from then on; "" for none. */
export interface Term {
  at: number;
  resourceVersion: number;
  holder: string;
}

export interface Judged {
  /** Acts of an operator that did not hold the Lease and had not begun the act in its term. */
  violations: string[];
  /** Acts that were under way when the term ended: sent before, or the next act of a paused process. */
  underWay: string[];
}

/** After a pause a process may complete the one act that it had decided on, within this time. */
const afterStopMs = 1_000;

/**
 * Finds acts of operators that do not hold the Lease. Writes to the API server are ordered by the revision of its etcd,
 * acts on the store and removals by the clock. The terms are kept between calls, since a term may be longer than a round.
 */
export class Leaders {
  readonly terms: Term[] = [];

  /** Judges everything since the last call, in any order. */
  judge(seen: {
    writes: readonly AuditedWrite[];
    sent: readonly Sent[];
    stored: readonly Sent[];
    stops: readonly Stop[];
  }): Judged {
    const writes = seen.writes.toSorted((a, b) => a.resourceVersion - b.resourceVersion);
    for (const write of writes) if (write.holder !== undefined) this.#noteHolder(write, write.holder);
    const judged: Judged = { violations: [], underWay: [] };
    const unused = { sent: [...seen.sent], stops: [...seen.stops] };
    for (const write of writes.filter(({ holder }) => holder === undefined)) {
      const term = this.#termAt((t) =>
        write.removed ? t.at <= write.receivedAt : t.resourceVersion < write.resourceVersion,
      );
      if (holdsIn(term, write.writer)) continue;
      const verb = write.created === undefined ? "PATCH" : "POST";
      const what = `${verb} of ${write.name}/${write.subresource} (resourceVersion ${write.resourceVersion})`;
      // The request that creates an object does not name it.
      const isOf = (request: string) =>
        write.created === undefined ? request.includes(`/${write.name}`) : request.startsWith("POST ");
      const early = unused.sent.findIndex(
        ({ at, writer, request }) => writer === write.writer && at <= (term?.at ?? 0) && isOf(request),
      );
      if (early >= 0) unused.sent.splice(early, 1);
      const text = describeAct(what, { writer: write.writer, at: write.receivedAt }, term);
      if (early >= 0 || excused(unused.stops, write.writer, write.receivedAt)) judged.underWay.push(text);
      else judged.violations.push(text);
    }
    for (const act of seen.stored.toSorted((a, b) => a.at - b.at)) {
      const term = this.#termAt((t) => t.at <= act.at);
      if (holdsIn(term, act.writer)) continue;
      const text = describeAct(act.request, act, term);
      (excused(unused.stops, act.writer, act.at) ? judged.underWay : judged.violations).push(text);
    }
    return judged;
  }

  #noteHolder({ doneAt, resourceVersion }: AuditedWrite, identity: string): void {
    const holder = identity.replace(/_.*/, "");
    if (this.terms.at(-1)?.holder !== holder) this.terms.push({ at: doneAt, resourceVersion, holder });
  }

  #termAt(which: (term: Term) => boolean): Term | undefined {
    return this.terms.findLast(which);
  }
}

/** True before the first known term. */
function holdsIn(term: Term | undefined, writer: string): boolean {
  return term === undefined || term.holder === writer;
}

/** The act comes right after a pause of the writer. Each pause excuses one act. */
function excused(stops: Stop[], writer: string, at: number): boolean {
  const index = stops.findIndex(
    (stop) => stop.writer === writer && stop.until <= at && at <= stop.until + afterStopMs,
  );
  if (index >= 0) stops.splice(index, 1);
  return index >= 0;
}

function describeAct(
  what: string,
  { writer, at }: { writer: string; at: number },
  term: Term | undefined,
): string {
  const since = new Date(term?.at ?? 0).toISOString();
  const holder = term?.holder === "" ? "nobody" : term?.holder;
  return `${writer}: ${what} at ${new Date(at).toISOString()}, while ${holder} held the lease since ${since}`;
}
