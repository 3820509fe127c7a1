import type { Infer } from "../../api/schema/schema.ts";
import { wholeSeconds } from "../../core/conditions.ts";
import { OperatorError, asOperatorError, withHint } from "../../core/errors.ts";
import { type Marks, markedProblem, noMarks } from "../../core/verification/marks.ts";
import type { ObjectInfo, Store } from "../../store/store.ts";
import { putJsonRecord, readJsonRecord } from "./json-record.ts";
import type { CatalogEntry } from "./listing.ts";

const marksSchema = {
  type: "object",
  required: ["backups"],
  properties: {
    backups: {
      type: "array",
      items: {
        type: "object",
        required: ["name", "verifiedAt"],
        properties: {
          name: { type: "string", maxLength: 128 },
          verifiedAt: { type: "string", maxLength: 64 },
          /** Absent: the verification succeeded. */
          problem: { type: "string", maxLength: 1024 },
        },
      },
    },
  },
} as const;

type MarksRecord = Infer<typeof marksSchema>;

/** Backups that one record names at most, those that failed first. Each takes about 100 bytes. */
const mostMarks = 200_000;
/** Bytes. A larger object is no record of verifications. */
const maxSize = 64 * 1024 * 1024;

/**
 * The record of a folder that counts. Nothing in a store is overwritten, so each change is an object under the next
 * number, and a name always stands for the same bytes.
 */
export interface ListedMarks {
  number: number;
  /** Whether a verification in it failed, as its name says: a record without failures need not be read. */
  hasFailed: boolean;
}

function marksFolder(clusterName: string): string {
  return `${clusterName}/verification/`;
}

export function marksObject(clusterName: string, { number, hasFailed }: ListedMarks): string {
  return `${marksFolder(clusterName)}${String(number).padStart(20, "0")}-${hasFailed ? "failed" : "sound"}.json`;
}

/** The inverse of `marksObject`. Undefined for a name that it does not write. */
function parseMarksObject(name: string): (ListedMarks & { clusterName: string }) | undefined {
  const match = /^([^/]+)\/verification\/(\d{20})-(failed|sound)\.json$/.exec(name);
  const [, clusterName = "", digits = "", outcome] = match ?? [];
  const number = Number(digits);
  if (match === null || !Number.isSafeInteger(number)) return undefined;
  return { clusterName, number, hasFailed: outcome === "failed" };
}

/** Of two writers' records under one number, one with a failure counts. */
function isNewer(one: ListedMarks, other: ListedMarks | undefined): boolean {
  if (other === undefined || one.number > other.number) return true;
  return one.number === other.number && one.hasFailed;
}

/** Adds the object to the records by cluster name. False for another object. */
export function noteMarks(records: Map<string, ListedMarks>, { name }: ObjectInfo): boolean {
  const parsed = parseMarksObject(name);
  if (parsed === undefined) return false;
  const { clusterName, ...listed } = parsed;
  if (isNewer(listed, records.get(clusterName))) records.set(clusterName, listed);
  return true;
}

/** Reads that meet a record which was replaced after the listing. */
const mostReads = 3;

/**
 * Reads the record of a folder. `listed`: as a listing shows it; undefined where it shows none. Throws Refused for the
 * record of a later release, and VerificationFailed for another object.
 */
export async function readMarks(
  store: Pick<Store, "get" | "list">,
  { clusterName, listed }: { clusterName: string; listed: ListedMarks | undefined },
  signal: AbortSignal,
): Promise<Marks> {
  let current = listed;
  for (let read = 1; current !== undefined && read <= mostReads; read++) {
    const marks = await readRecord(store, marksObject(clusterName, current), signal);
    if (marks !== undefined) return marks;
    current = (await listRecords(store, clusterName, signal)).current;
  }
  return noMarks;
}

async function readRecord(
  store: Pick<Store, "get">,
  object: string,
  signal: AbortSignal,
): Promise<Marks | undefined> {
  const document = await readJsonRecord(store, object, {
    schema: marksSchema,
    what: "a record of verifications",
    hint: "inspect the object, and delete it: the next verification in this folder writes it again",
    maxSize,
    signal,
  });
  if (document === undefined) return undefined;
  const verified = new Map<string, number>();
  const problems = new Map<string, string>();
  for (const { name, verifiedAt, problem } of (document as MarksRecord).backups) {
    verified.set(name, Math.floor(Date.parse(verifiedAt) / 1000) || 0);
    if (problem !== undefined) problems.set(name, problem);
  }
  return { verified, problems };
}

/** All records of a folder, and the one that counts. */
async function listRecords(
  store: Pick<Store, "list">,
  clusterName: string,
  signal: AbortSignal,
): Promise<{ current: ListedMarks | undefined; objects: string[] }> {
  const records = new Map<string, ListedMarks>();
  const objects: string[] = [];
  for await (const object of store.list(marksFolder(clusterName), { signal }))
    if (noteMarks(records, object)) objects.push(object.name);
  return { current: records.get(clusterName), objects };
}

/** Writers that change a record at the same moment try again. */
const rounds = 3;

/**
 * Changes the record of a folder, and deletes the one before. A record that cannot be used is replaced: what it said is
 * found again by verifying. Resolves to what was stored.
 */
export async function changeMarks(
  store: Pick<Store, "get" | "list" | "put" | "remove">,
  clusterName: string,
  { change, signal }: { change: (marks: Marks) => Marks; signal: AbortSignal },
): Promise<{ marks: Marks; listed: ListedMarks }> {
  for (let round = 1; ; round++) {
    const { current, objects } = await listRecords(store, clusterName, signal);
    const marks = change(await readToReplace(store, { clusterName, listed: current }, signal));
    const listed = { number: (current?.number ?? 0) + 1, hasFailed: marks.problems.size > 0 };
    const isPut = await putJsonRecord(store, marksObject(clusterName, listed), encode(marks), { signal });
    if (!isPut && round < rounds) continue;
    if (!isPut)
      throw new OperatorError("Conflict", `several writers change the verifications of ${clusterName}`);
    for (const object of objects) await store.remove(object, { signal, hideLocked: true });
    return { marks, listed };
  }
}

async function readToReplace(
  store: Pick<Store, "get" | "list">,
  at: { clusterName: string; listed: ListedMarks | undefined },
  signal: AbortSignal,
): Promise<Marks> {
  try {
    return await readMarks(store, at, signal);
  } catch (error) {
    if (asOperatorError(error).code === "VerificationFailed") return noMarks;
    throw error;
  }
}

function encode({ verified, problems }: Marks): MarksRecord {
  const names = [...new Set([...problems.keys(), ...verified.keys()])].slice(0, mostMarks);
  return {
    backups: names.map((name) => {
      const problem = problems.get(name);
      const verifiedAt = wholeSeconds(new Date((verified.get(name) ?? 0) * 1000));
      return { name, verifiedAt, ...(problem === undefined ? {} : { problem }) };
    }),
  };
}

/** Reads a record only where its name says that a verification failed. */
export async function readFailures(
  store: Pick<Store, "get" | "list">,
  at: { clusterName: string; listed: ListedMarks | undefined },
  signal: AbortSignal,
): Promise<Marks> {
  return at.listed?.hasFailed === true ? readMarks(store, at, signal) : noMarks;
}

/** As `readFailures`, for a reader that goes on without a record which cannot be read. */
export async function tryToReadFailures(
  store: Pick<Store, "get" | "list">,
  at: { clusterName: string; listed: ListedMarks | undefined },
  signal: AbortSignal,
): Promise<{ marks: Marks; warning?: string }> {
  try {
    return { marks: await readFailures(store, at, signal) };
  } catch (thrown) {
    signal.throwIfAborted();
    return { marks: noMarks, warning: unreadableMarks(at.clusterName, thrown) };
  }
}

export function unreadableMarks(clusterName: string, thrown: unknown): string {
  return `which backups of ${clusterName} have failed a verification is not known: ${withHint(asOperatorError(thrown))}`;
}

/** The entry, with the failure of its last verification as the problem where the listing shows no other. */
export function marked<E extends Pick<CatalogEntry, "name" | "problem">>(entry: E, marks: Marks): E {
  const problem = entry.problem ?? markedProblem(marks, entry.name);
  return problem === undefined ? entry : { ...entry, problem };
}
