import type { Random } from "../harness/random.ts";

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

const oddValues: readonly Json[] = [
  null,
  true,
  false,
  0,
  -1,
  1,
  2,
  1.5,
  1e21,
  1e300,
  2 ** 53,
  2 ** 53 - 1,
  -(2 ** 53),
  "",
  "a",
  "..",
  "../x",
  "a/b",
  "\0",
  "\ud800",
  "\u202e",
  "__proto__",
  "constructor",
  "2026-02-30T00:00:00Z",
  "9999-12-31T23:59:59Z",
  "f".repeat(64),
  [],
  {},
  [[]],
  { a: 1 },
];

/** A copy of a JSON value with one random change: a value replaced, a property removed or added. */
export function mutateJson(value: Json, random: Random): Json {
  const copy: Json = structuredClone(value);
  const places: { holder: Json[] | Record<string, Json>; name: string }[] = [];
  collect(copy, places);
  if (places.length === 0) return random.pick(oddValues);
  const { holder, name } = random.pick(places);
  const present: Json | undefined = Reflect.get(holder, name);
  switch (random.below(6)) {
    case 0:
      Reflect.deleteProperty(holder, name);
      break;
    case 1:
      Object.defineProperty(holder, random.pick(["__proto__", "toString", "hashKV", "owner", "next"]), {
        value: random.pick(oddValues),
        enumerable: true,
        configurable: true,
        writable: true,
      });
      break;
    case 2:
      if (typeof present === "string") Reflect.set(holder, name, mutateText(present, random));
      else if (typeof present === "number")
        Reflect.set(holder, name, present + random.pick([1, -1, 0.5, 2 ** 53]));
      break;
    case 3: {
      const other = random.pick(places);
      Reflect.set(holder, name, structuredClone(Reflect.get(other.holder, other.name) ?? null));
      break;
    }
    default:
      Reflect.set(holder, name, random.pick(oddValues));
  }
  return copy;
}

const fragments = [
  "",
  " ",
  "\0",
  "\n",
  "/",
  "//",
  "..",
  "../",
  "%2e%2e",
  "%2F",
  "%",
  "%40",
  "@",
  ":",
  "?",
  "#",
  "&",
  "=",
  "\\",
  "-",
  "_",
  ".",
  "Z",
  "T",
  "0",
  "9",
  "99999999999999999999",
  "a",
  "A",
  "é",
  "\u2028",
  "\ud800",
  "💥",
  "\u202e",
  ".json",
  ".db",
  ".zst",
  "x".repeat(300),
] as const;

/** A text with one fragment inserted, removed, replaced or repeated. */
export function mutateText(text: string, random: Random): string {
  const at = random.below(text.length + 1);
  const size = random.below(random.oneIn(4) ? text.length + 1 : 3);
  switch (random.below(4)) {
    case 0:
      return text.slice(0, at) + random.pick(fragments) + text.slice(at);
    case 1:
      return text.slice(0, at) + text.slice(at + size);
    case 2:
      return text.slice(0, at) + random.pick(fragments) + text.slice(at + 1);
    default:
      return text.slice(0, at + size) + text.slice(at);
  }
}

function collect(value: Json, places: { holder: Json[] | Record<string, Json>; name: string }[]): void {
  if (typeof value !== "object" || value === null) return;
  for (const [name, item] of Object.entries(value)) {
    places.push({ holder: value, name });
    collect(item, places);
  }
}
