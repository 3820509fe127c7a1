import { uptime } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { asOperatorError } from "../../core/errors.ts";
import { halfJitter } from "../../core/backoff.ts";
import type { KubeClient } from "../client.ts";
import { apiStatusOf } from "../errors.ts";
import { Fence, type FenceClock } from "./fence.ts";
import {
  type Lease,
  type LeaseTimings,
  decideLease,
  heldLease,
  leaseTimings,
  leases,
  releasedLease,
} from "./lease.ts";
import type { Log } from "../../core/log.ts";

export interface ElectionOptions {
  namespace: string;
  /** Of the Lease. */
  name: string;
  /** Unlike every other's, also that of the same pod before it was restarted. */
  identity: string;
  durationMs: number;
  log: Log;
  now: () => Date;
  clock?: FenceClock;
  /** Called when the Lease was read and, where that was allowed, taken: this process takes part. */
  onSight?: () => void;
}

/** The time of one leader. Dispose of it when its work has ended: that gives the Lease back, for the next to begin at once. */
export interface Term extends AsyncDisposable {
  readonly fence: Fence;
}

/** Seconds since boot, and unlike performance.now() it counts those that the machine slept. */
const bootClock: FenceClock = { now: () => uptime() * 1000 };

type LeaseClient = Pick<KubeClient, "get" | "create" | "replace">;

/** Resolves when this process has become the leader; keeps trying until the signal fires, then throws its reason. */
export async function elected(
  client: LeaseClient,
  options: ElectionOptions & { signal: AbortSignal },
): Promise<Term> {
  const { signal, durationMs, log, clock = bootClock, onSight = () => {} } = options;
  const timings = leaseTimings(durationMs);
  const candidate = new Candidate(client, { ...options, clock });
  let said = "";
  const say = (level: "info" | "warn", message: string, fields: Record<string, unknown>) => {
    // Once, not at every look.
    if (message !== said) log[level](fields, message);
    said = message;
  };
  for (;;) {
    signal.throwIfAborted();
    const askedAt = clock.now();
    try {
      const holder = await candidate.contend(
        AbortSignal.any([signal, AbortSignal.timeout(timings.requestMs)]),
      );
      if (holder === options.identity) {
        onSight();
        const fence = new Fence({ until: askedAt + timings.workMs, clock });
        return holdOn(candidate, fence, { ...options, clock, timings });
      }
      say("info", `standing by: ${holder} is leading`, { holder });
      onSight();
    } catch (thrown) {
      signal.throwIfAborted();
      const err = asOperatorError(thrown);
      say("warn", `no part in the election: ${err.message}`, { err });
    }
    await delay(halfJitter(timings.retryMs), undefined, { signal });
  }
}

/** The term of one who has no rival, for an operator that is known to be the only one. */
export async function unopposed(): Promise<Term> {
  const fence = new Fence({ until: Number.POSITIVE_INFINITY, clock: bootClock });
  return { fence, async [Symbol.asyncDispose]() {} };
}

/** Renews until the fence closes or the term is disposed of. */
function holdOn(
  candidate: Candidate,
  fence: Fence,
  options: ElectionOptions & { clock: FenceClock; timings: LeaseTimings },
): Term {
  const { timings, clock, log, identity } = options;
  const closing = new AbortController();
  const signal = AbortSignal.any([fence.signal, closing.signal]);

  async function renew(): Promise<void> {
    const askedAt = clock.now();
    const holder = await candidate.contend(AbortSignal.any([signal, AbortSignal.timeout(timings.requestMs)]));
    if (holder === identity) fence.extend(askedAt + timings.workMs);
    else fence.close(`the lease was taken over by ${holder}`);
  }

  async function renewing(): Promise<void> {
    while (!signal.aborted) {
      try {
        await delay(timings.retryMs, undefined, { signal });
        await renew();
      } catch (thrown) {
        if (!signal.aborted) log.warn({ err: asOperatorError(thrown) }, "the lease is not renewed yet");
      }
    }
  }

  const loop = renewing();
  return {
    fence,
    async [Symbol.asyncDispose]() {
      closing.abort();
      await loop;
      fence.close("the term is over");
      await candidate.release(AbortSignal.timeout(timings.requestMs)).catch((error: unknown) => {
        log.warn(
          { err: asOperatorError(error) },
          "the lease was not given back; the next has to wait for its end",
        );
      });
    },
  };
}

/** One contender's knowledge of the Lease. */
class Candidate {
  readonly #client: LeaseClient;
  readonly #options: ElectionOptions & { clock: FenceClock };
  /** As it was last written here: while nobody else writes it, renewing takes one request. */
  #mine: Lease | undefined;
  #seen: { record: string; at: number } | undefined;

  constructor(client: LeaseClient, options: ElectionOptions & { clock: FenceClock }) {
    this.#client = client;
    this.#options = options;
  }

  /** Looks, and takes or renews the Lease if that is allowed. Resolves to who holds it then. */
  async contend(signal: AbortSignal): Promise<string> {
    const { identity, durationMs, now } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      const lease = this.#mine ?? (await this.#read(signal));
      const decision = decideLease(
        { lease, unchangedMs: this.#unchangedMs(lease) },
        { identity, durationMs },
      );
      if (decision.do === "wait") return decision.holder;
      try {
        const spec = heldLease(lease?.spec, { identity, durationMs, now: now() });
        this.#mine = await this.#write(lease, spec, signal);
        return identity;
      } catch (error) {
        this.#mine = undefined;
        // Somebody has written or deleted it, or it was we whose answer was lost: that shows at the next look.
        const stale = [404, 409].includes(apiStatusOf(error)?.status ?? 0);
        if (!stale || attempt >= 2) throw error;
      }
    }
  }

  async release(signal: AbortSignal): Promise<void> {
    const lease = this.#mine;
    if (lease !== undefined) await this.#write(lease, releasedLease(lease.spec, this.#options.now()), signal);
  }

  #read(signal: AbortSignal): Promise<Lease | undefined> {
    const { namespace, name } = this.#options;
    return this.#client.get(leases, { namespace, name }, { signal });
  }

  #write(before: Lease | undefined, spec: NonNullable<Lease["spec"]>, signal: AbortSignal): Promise<Lease> {
    const { namespace, name } = this.#options;
    return before === undefined
      ? this.#client.create(leases, { metadata: { namespace, name }, spec }, { signal })
      : this.#client.replace(leases, { ...before, spec }, { signal });
  }

  #unchangedMs(lease: Lease | undefined): number {
    const at = this.#options.clock.now();
    const record = JSON.stringify(lease?.spec ?? null);
    if (this.#seen?.record !== record) this.#seen = { record, at };
    return at - this.#seen.at;
  }
}
