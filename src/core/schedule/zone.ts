const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;
/** No zone is farther from UTC. */
const farthestMs = 16 * hourMs;

/** Names of the IANA database. Other abbreviations mean several zones: BST is British and Bangladesh time. */
const abbreviations = new Set("CET EET EST GMT HST MET MST PRC ROC ROK UCT UTC WET".split(" "));

/**
 * The local clock of a time zone. Instants are milliseconds since 1970 UTC; local times are those of the local clock, read
 * as if it were UTC. A turn is an instant at which the offset changes; within 32 h there is one at most.
 */
export interface Zone {
  /** Local time minus UTC, in milliseconds. */
  offset(instant: number): number;
  /** The turn in (from, to]; undefined when the offsets at both ends are equal. */
  turn(from: number, to: number): number | undefined;
  /** The first instant at which the clock shows `local` or a later time. */
  reaches(local: number): number;
  /** The latest local time that the clock has reached up to `instant`: `reaches` is not after `instant` up to this time. */
  reached(instant: number): number;
}

/** A zone keeps a formatter of many kilobytes, and many schedules share one zone. Intl knows fewer than 700 names. */
const zones = new Map<string, Zone>();

/** The zone of an IANA name; undefined when there is none. Offsets and `Local` are no names. */
export function zoneOf(name: string): Zone | undefined {
  const key = name.toUpperCase();
  if (!/^[A-Z][A-Z0-9_+/-]*$/i.test(name) || (key.length === 3 && !abbreviations.has(key))) return undefined;
  let zone = zones.get(key);
  if (zone !== undefined) return zone;
  try {
    zone = makeZone(new Intl.DateTimeFormat("en-US", { timeZone: name, timeZoneName: "longOffset" }));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  zones.set(key, zone);
  return zone;
}

function makeZone(format: Intl.DateTimeFormat): Zone {
  const offset = (instant: number) => readOffset(format.format(instant));

  function turn(from: number, to: number): number | undefined {
    const after = offset(to);
    if (offset(from) === after) return undefined;
    let low = from;
    let high = to;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (offset(middle) === after) high = middle;
      else low = middle;
    }
    return high;
  }

  function reaches(local: number): number {
    const from = local - farthestMs;
    const to = local + farthestMs;
    const early = local - offset(from);
    if (offset(early) === offset(from)) return early;
    const late = local - offset(to);
    if (offset(late) === offset(to)) return late;
    return turn(from, to) ?? late;
  }

  function reached(instant: number): number {
    const now = instant + offset(instant);
    const from = instant - dayMs;
    if (offset(from) <= offset(instant)) return now;
    const turnedBack = turn(from, instant) ?? instant;
    return Math.max(now, turnedBack + offset(from) - 1);
  }

  return { offset, turn, reaches, reached };
}

/** Reads `1/1/1970, GMT-00:44:30`. UTC has no sign and no numbers. */
function readOffset(text: string): number {
  const [, sign, hours, minutes, seconds = "0"] = /GMT(?:([+-])(\d+):(\d+)(?::(\d+))?)?$/.exec(text) ?? [];
  if (hours === undefined || minutes === undefined) return 0;
  const size = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
  return sign === "-" ? -size : size;
}
