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
  /** Series that are kept at once (10,000): 1,000 backups in ten minutes record about 5,000. */
  maxSeries?: number;
}

/** Series that are looked at for one to drop, so that a full store does not cost a scan of all an event. */
const candidates = 100;

/**
 * Counts equal events about the same object. Bounded: the series that was quiet longest makes room, when it is beyond
 * its window or its count is on the server. Without one among the first hundred the new series is refused. An event
 * whose series was dropped within its window starts a new series.
 */
export class SeriesStore {
  readonly #windowMs: number;
  readonly #maxSeries: number;
  /** The series that was quiet longest is first. */
  readonly #series = new Map<string, Series>();

  constructor({ windowMs = 600_000, maxSeries = 10_000 }: SeriesOptions = {}) {
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
      this.#setLast(known);
      return known;
    }
    if (known === undefined && this.#series.size >= this.#maxSeries && !this.#makeRoom(now)) return undefined;
    const series: Series = { key, regarding, text, first: now, last: now, count: 1, written: 0 };
    this.#setLast(series);
    return series;
  }

  get(key: string): Series | undefined {
    return this.#series.get(key);
  }

  /** Series whose count is not on the server yet. */
  unwritten(): Series[] {
    return [...this.#series.values()].filter((series) => series.written < series.count);
  }

  #setLast(series: Series): void {
    this.#series.delete(series.key);
    this.#series.set(series.key, series);
  }

  #makeRoom(now: number): boolean {
    for (const [key, series] of this.#series.entries().take(candidates)) {
      if (now - series.last <= this.#windowMs && series.written < series.count) continue;
      return this.#series.delete(key);
    }
    return false;
  }
}

/** The longest beginning of the text that fits with an ellipsis, in whole characters. */
export function cutToBytes(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  const ellipsis = "…";
  const kept = Buffer.from(text).subarray(0, bytes - Buffer.byteLength(ellipsis));
  return new TextDecoder().decode(kept, { stream: true }) + ellipsis;
}
