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
  /** The name of the Lease. */
  name: string;
  /** Unique among all processes, also among restarts of the same pod. */
  identity: string;
  durationMs: number;
  log: Log;
  now: () => Date;
  clock?: FenceClock;
  /** Called after each attempt that read the Lease and, where allowed, took it: this process takes part. */
  onLeaseSeen?: () => void;
}

/**
 * The term of one leader. Disposing of it after its work releases the Lease, so that the next leader begins at once.
 */
export interface Term extends AsyncDisposable {
  readonly fence: Fence;
}

/** Milliseconds since boot; unlike performance.now() it counts the time in which the machine slept. */
const bootClock: FenceClock = { now: () => uptime() * 1000 };

type LeaseClient = Pick<KubeClient, "get" | "create" | "replace">;

/** Resolves when this process has become the leader. Tries until the signal fires, then throws its reason. */
export async function elected(
  client: LeaseClient,
  options: ElectionOptions & { signal: AbortSignal },
): Promise<Term> {
  const { signal, durationMs, log, clock = bootClock, onLeaseSeen = () => {} } = options;
  const timings = leaseTimings(durationMs);
  const candidate = new Candidate(client, { ...options, clock });
  const logChange = changeLogger(log);
  for (;;) {
    signal.throwIfAborted();
    const askedAt = clock.now();
    try {
      const holder = await candidate.contend(
        AbortSignal.any([signal, AbortSignal.timeout(timings.requestMs)]),
      );
      if (holder === options.identity) {
        onLeaseSeen();
        const fence = new Fence({ until: askedAt + timings.workMs, clock });
        return beginTerm(candidate, fence, { ...options, clock, timings });
      }
      logChange("info", "another process is leading; standing by", { holder });
      onLeaseSeen();
    } catch (thrown) {
      signal.throwIfAborted();
      const err = asOperatorError(thrown);
      logChange("warn", "cannot take part in the election", { err });
    }
    await delay(halfJitter(timings.retryMs), undefined, { signal });
  }
}

/** A term without an election, for an operator that is known to be the only one. */
export async function unopposed(): Promise<Term> {
  const fence = new Fence({ until: Number.POSITIVE_INFINITY, clock: bootClock });
  return { fence, async [Symbol.asyncDispose]() {} };
}

/** Logs a message unless it and its values equal those before: attempts repeat every few seconds. */
function changeLogger(log: Log) {
  let logged = "";
  return (level: "info" | "warn", message: string, fields: { holder: string } | { err: Error }): void => {
    const entry = `${message}: ${"err" in fields ? fields.err.message : fields.holder}`;
    if (entry !== logged) log[level](fields, message);
    logged = entry;
  };
}

/** Renews the Lease until the fence closes or the term is disposed of. */
function beginTerm(
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
    else fence.close(`the Lease was taken over by ${holder}`);
  }

  async function renewInTurn(): Promise<void> {
    while (!signal.aborted) {
      try {
        await delay(timings.retryMs, undefined, { signal });
        await renew();
      } catch (thrown) {
        if (!signal.aborted)
          log.warn({ err: asOperatorError(thrown) }, "could not renew the Lease; trying again");
      }
    }
  }

  const renewing = renewInTurn();
  return {
    fence,
    async [Symbol.asyncDispose]() {
      closing.abort();
      await renewing;
      fence.close("the term is over");
      await candidate.release(AbortSignal.timeout(timings.requestMs)).catch((error: unknown) => {
        log.warn(
          { err: asOperatorError(error) },
          "could not release the Lease; the next leader waits until it expires",
        );
      });
    },
  };
}

/** One candidate and what it knows of the Lease. */
class Candidate {
  readonly #client: LeaseClient;
  readonly #options: ElectionOptions & { clock: FenceClock };
  /** As this candidate last wrote it: while no other process writes it, a renewal takes one request. */
  #written: Lease | undefined;
  /** The spec as JSON, and when this candidate first read it. */
  #lastSpec: { json: string; readAt: number } | undefined;

  constructor(client: LeaseClient, options: ElectionOptions & { clock: FenceClock }) {
    this.#client = client;
    this.#options = options;
  }

  /** Reads the Lease, and takes or renews it when that is allowed. Resolves to the holder after that. */
  async contend(signal: AbortSignal): Promise<string> {
    const { identity, durationMs, now } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      const lease = this.#written ?? (await this.#read(signal));
      const decision = decideLease(
        { lease, unchangedMs: this.#unchangedMs(lease) },
        { identity, durationMs },
      );
      if (decision.do === "wait") return decision.holder;
      try {
        const spec = heldLease(lease?.spec, { identity, durationMs, now: now() });
        this.#written = await this.#write(lease, spec, signal);
        return identity;
      } catch (error) {
        this.#written = undefined;
        // Another process wrote or deleted it, or this one did and the answer was lost: reading it again tells.
        const stale = [404, 409].includes(apiStatusOf(error)?.status ?? 0);
        if (!stale || attempt >= 2) throw error;
      }
    }
  }

  async release(signal: AbortSignal): Promise<void> {
    const lease = this.#written;
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
    const readAt = this.#options.clock.now();
    const json = JSON.stringify(lease?.spec ?? null);
    if (this.#lastSpec?.json !== json) this.#lastSpec = { json, readAt };
    return readAt - this.#lastSpec.readAt;
  }
}
