/** The fields of a Kubernetes event that make two of them the same one. */
export interface EventText {
  type: "Normal" | "Warning";
  /** CamelCase, stable: `SnapshotSucceeded`. */
  reason: string;
  /** What was being done, CamelCase: `Backup`. */
  action: string;
  /** For people. Cut after 1024 bytes. */
  note: string;
}

/** The object an event is about: an ObjectReference. */
export interface Regarding {
  apiVersion: string;
  kind: string;
  namespace?: string;
  name: string;
  uid: string;
}

/** One event as the server has or will have it: written once, then counted. */
export interface Series {
  readonly key: string;
  readonly regarding: Regarding;
  readonly text: EventText;
  /** Milliseconds since the epoch. */
  readonly first: number;
  last: number;
  count: number;
  /** The count the server has; 0 before the event is created. */
  written: number;
  /** Name of the Event object, once there is one. */
  eventName?: string;
}

export interface SeriesOptions {
  /** The same event after this pause is a new one. */
  windowMs?: number;
  /** More than this many series at once are not kept. */
  most?: number;
}

/** Counts events that say the same about the same object. Bounded: old series go first, then new ones are refused. */
export class SeriesStore {
  readonly #windowMs: number;
  readonly #most: number;
  readonly #series = new Map<string, Series>();

  constructor({ windowMs = 600_000, most = 1_000 }: SeriesOptions = {}) {
    this.#windowMs = windowMs;
    this.#most = most;
  }

  /** The series this event belongs to, already counted. Undefined when there is no room for another one. */
  count(regarding: Regarding, given: EventText, now: number): Series | undefined {
    const text = { ...given, note: cutToBytes(given.note, 1024) };
    const key = JSON.stringify([regarding.uid, text.type, text.reason, text.note]);
    const known = this.#series.get(key);
    if (known !== undefined && now - known.last <= this.#windowMs) {
      known.count += 1;
      known.last = now;
      return known;
    }
    if (known === undefined && this.#series.size >= this.#most) this.#prune(now);
    if (known === undefined && this.#series.size >= this.#most) return undefined;
    const series: Series = { key, regarding, text, first: now, last: now, count: 1, written: 0 };
    this.#series.set(key, series);
    return series;
  }

  get(key: string): Series | undefined {
    return this.#series.get(key);
  }

  /** Series whose count the server does not have yet. */
  unwritten(): Series[] {
    return [...this.#series.values()].filter((series) => series.written < series.count);
  }

  #prune(now: number): void {
    for (const [key, series] of this.#series) {
      if (now - series.last > this.#windowMs) this.#series.delete(key);
    }
  }
}

/** The longest beginning of the text that fits, with an ellipsis; no character is cut in two. */
export function cutToBytes(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  const ellipsis = "…";
  const kept = Buffer.from(text).subarray(0, bytes - Buffer.byteLength(ellipsis));
  return new TextDecoder().decode(kept, { stream: true }) + ellipsis;
}
