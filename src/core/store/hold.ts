import type { EtcdBackupStoreStatus } from "../../api/v1alpha1/etcd-backup-store.ts";
import { wholeSeconds } from "../conditions.ts";

/** Who works on a store and on the EtcdBackups and EtcdRestores that use it, as the store's status says. */
export type Hold = NonNullable<EtcdBackupStoreStatus["operator"]>;

/** This operator, as others see it. */
export interface Holder {
  /** `namespace/name` of its Lease. */
  lease: string;
  /** Milliseconds without a renewal after which the operator of another Lease may take over. */
  durationMs: number;
}

export type HoldDecision =
  | { do: "work" }
  /** Write the own hold, and work once it is written. `from`: the holder that is replaced. */
  | { do: "take"; from?: string }
  | { do: "leave"; holder: string; durationMs: number };

/** What this process measured, by its own monotonic clock. */
export interface HoldTimes {
  /** For how long the recorded hold has not changed. */
  silentMs: number;
  /** Since this process last renewed its own hold; Infinity if it never did. */
  renewedAgoMs: number;
}

export function decideHold(hold: Hold | undefined, own: Holder, times: HoldTimes): HoldDecision {
  if (hold === undefined) return { do: "take" };
  const durationMs = hold.durationSeconds * 1000;
  if (hold.lease === own.lease) {
    // Others may be about to take over from a holder that is late. It writes first, and works then.
    const mustWrite = durationMs !== own.durationMs || isLate(times.renewedAgoMs, durationMs);
    return { do: mustWrite ? "take" : "work" };
  }
  if (times.silentMs >= durationMs) return { do: "take", from: hold.lease };
  return { do: "leave", holder: hold.lease, durationMs };
}

export function isLate(renewedAgoMs: number, durationMs: number): boolean {
  return renewedAgoMs >= (durationMs * 2) / 3;
}

export function holdOf({ lease, durationMs }: Holder, now: Date): Hold {
  return { lease, renewTime: wholeSeconds(now), durationSeconds: Math.ceil(durationMs / 1000) };
}

/** Milliseconds until another operator reads the hold of a store again. */
export function askAgainMs(durationMs: number): number {
  return durationMs / 15;
}

/**
 * Measures for how long a recorded hold has not changed. Only time between two reads that follow each other counts: while
 * this process could not read, the holder may have been unable to write.
 */
export class SilenceMeter {
  readonly #seen = new Map<string, { hold: string; at: number; silentMs: number }>();

  /** Notes a read of the store `key` at `now` (milliseconds, monotonic). Returns the silence up to then. */
  read(key: string, hold: Hold | undefined, now: number): number {
    const json = JSON.stringify(hold ?? null);
    const before = this.#seen.get(key);
    if (hold === undefined || before?.hold !== json) {
      this.#seen.set(key, { hold: json, at: now, silentMs: 0 });
      return 0;
    }
    const gapMs = Math.min(now - before.at, 2 * askAgainMs(hold.durationSeconds * 1000));
    const silentMs = before.silentMs + gapMs;
    this.#seen.set(key, { hold: json, at: now, silentMs });
    return silentMs;
  }

  forget(key: string): void {
    this.#seen.delete(key);
  }
}
