/** The fields by which two Kubernetes events about one object are the same. */
export interface EventText {
  type: "Normal" | "Warning";
  /** CamelCase, stable: `SnapshotSucceeded`. */
  reason: string;
  /** What was being done, CamelCase: `Backup`. */
  action: string;
  /** Free text, cut after 1024 bytes. */
  note: string;
}

/** The object that an event is about, as an ObjectReference. */
export interface Regarding {
  apiVersion: string;
  kind: string;
  namespace?: string;
  name: string;
  uid: string;
}

/** An event and its repetitions: one Event object on the server, with a count. */
export interface Series {
  readonly key: string;
  readonly regarding: Regarding;
  readonly text: EventText;
  /** Milliseconds since the epoch. */
  readonly first: number;
  last: number;
  count: number;
  /** The count on the server; 0 before the Event object is created. */
  written: number;
  /** Name of the Event object once it exists. */
  eventName?: string;
}

export interface SeriesOptions {
  /** Milliseconds without the event after which it starts a new series (600,000). */
  windowMs?: number;
  /** Series that are kept at once (1,000). */
  maxSeries?: number;
}

/**
 * Counts equal events about the same object. Bounded: series beyond their window are dropped, then new ones are
 * refused.
 */
export class SeriesStore {
  readonly #windowMs: number;
  readonly #maxSeries: number;
  readonly #series = new Map<string, Series>();

  constructor({ windowMs = 600_000, maxSeries = 1_000 }: SeriesOptions = {}) {
    this.#windowMs = windowMs;
    this.#maxSeries = maxSeries;
  }

  /** Counts the event and returns its series. Undefined when there is no room for another series. */
  count(regarding: Regarding, given: EventText, now: number): Series | undefined {
    const text = { ...given, note: cutToBytes(given.note, 1024) };
    const key = JSON.stringify([regarding.uid, text.type, text.reason, text.note]);
    const known = this.#series.get(key);
    if (known !== undefined && now - known.last <= this.#windowMs) {
      known.count += 1;
      known.last = now;
      return known;
    }
    if (known === undefined && this.#series.size >= this.#maxSeries) this.#prune(now);
    if (known === undefined && this.#series.size >= this.#maxSeries) return undefined;
    const series: Series = { key, regarding, text, first: now, last: now, count: 1, written: 0 };
    this.#series.set(key, series);
    return series;
  }

  get(key: string): Series | undefined {
    return this.#series.get(key);
  }

  /** Series whose count is not on the server yet. */
  unwritten(): Series[] {
    return [...this.#series.values()].filter((series) => series.written < series.count);
  }

  #prune(now: number): void {
    for (const [key, series] of this.#series) {
      if (now - series.last > this.#windowMs) this.#series.delete(key);
    }
  }
}

/** The longest beginning of the text that fits with an ellipsis, in whole characters. */
export function cutToBytes(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  const ellipsis = "…";
  const kept = Buffer.from(text).subarray(0, bytes - Buffer.byteLength(ellipsis));
  return new TextDecoder().decode(kept, { stream: true }) + ellipsis;
}
