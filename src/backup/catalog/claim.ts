import { randomUUID } from "node:crypto";
import type { Infer } from "../../api/schema/schema.ts";
import type { Claim } from "../../core/backup/claim.ts";
import { OperatorError } from "../../core/errors.ts";
import type { ObjectInfo, Store } from "../../store/store.ts";
import { clusterIdSchema, orUnusable, putJsonRecord, readJsonRecord } from "./json-record.ts";

const claimSchema = {
  type: "object",
  required: ["lineage", "since", "reason", "nonce"],
  properties: {
    lineage: {
      type: "array",
      maxItems: 1000,
      items: {
        type: "object",
        required: ["id", "number"],
        properties: {
          id: clusterIdSchema,
          number: { type: "integer", minimum: 0 },
          since: { type: "string", maxLength: 64 },
          restoredFrom: { type: "string", maxLength: 256 },
        },
      },
    },
    writer: {
      type: "object",
      required: ["id", "who"],
      properties: {
        id: { type: "string", maxLength: 64 },
        who: { type: "string", maxLength: 512 },
        bySilence: { type: "boolean" },
      },
    },
    since: { type: "string", maxLength: 64 },
    reason: { type: "string", maxLength: 512 },
    /** Tells a claim from another one of the same number, where the store has no conditional writes. */
    nonce: { type: "string", maxLength: 64 },
  },
} as const;

type ClaimRecord = Infer<typeof claimSchema>;

/** A claim as it is stored. */
export interface StoredClaim extends Claim {
  nonce: string;
}

function claimFolder(clusterName: string): string {
  return `${clusterName}/claim/`;
}

export function claimObject(clusterName: string, number: number): string {
  return `${claimFolder(clusterName)}${String(number).padStart(20, "0")}.json`;
}

/** The inverse of `claimObject`. Undefined for a name that it does not write. */
function parseClaimObject(name: string): { clusterName: string; number: number } | undefined {
  const [, clusterName = "", digits = ""] = /^([^/]+)\/claim\/(\d{20})\.json$/.exec(name) ?? [];
  const number = Number(digits);
  return digits === "" || !Number.isSafeInteger(number) || number < 1 ? undefined : { clusterName, number };
}

/** The claims of one folder, by what a listing shows: the newest number, and when each was stored. */
export interface ClaimListing {
  newest: number;
  /** By number, by the store's clock. */
  modified: ReadonlyMap<number, Date>;
}

/** Adds the object to the claims by cluster name. False for another object. */
export function noteClaim(claims: Map<string, ClaimListing>, { name, modified }: ObjectInfo): boolean {
  const parsed = parseClaimObject(name);
  if (parsed === undefined) return false;
  const { clusterName, number } = parsed;
  const known = claims.get(clusterName);
  claims.set(clusterName, {
    newest: Math.max(known?.newest ?? 0, number),
    modified: new Map(known?.modified).set(number, modified),
  });
  return true;
}

/** Reads the claim that counts. Undefined for a folder without one. */
export async function readClaim(
  store: Pick<Store, "list" | "get">,
  clusterName: string,
  signal: AbortSignal,
): Promise<StoredClaim | undefined> {
  const number = (await claimNumbers(store, clusterName, signal)).at(-1);
  return number === undefined ? undefined : readClaimNumber(store, { clusterName, number }, signal);
}

/** The numbers of all claims of a folder, ascending. */
async function claimNumbers(
  store: Pick<Store, "list">,
  clusterName: string,
  signal: AbortSignal,
): Promise<number[]> {
  const listed = await Array.fromAsync(store.list(claimFolder(clusterName), { signal }));
  return listed.flatMap(({ name }) => parseClaimObject(name)?.number ?? []);
}

/**
 * The claim to replace by hand: the highest number, and the newest lineage that can be read. Throws Refused for the claim
 * of a later release.
 */
export async function readClaimToReplace(
  store: Pick<Store, "list" | "get">,
  clusterName: string,
  signal: AbortSignal,
): Promise<Pick<Claim, "number" | "lineage"> | undefined> {
  const numbers = await claimNumbers(store, clusterName, signal);
  const newest = numbers.at(-1);
  if (newest === undefined) return undefined;
  for (const number of numbers.toReversed()) {
    try {
      const claim = await readClaimNumber(store, { clusterName, number }, signal);
      if (claim !== undefined) return { number: newest, lineage: claim.lineage };
    } catch (error) {
      if (!(error instanceof OperatorError && error.code === "VerificationFailed")) throw error;
    }
  }
  return { number: newest, lineage: [] };
}

/** Throws Refused for the claim of a later release, and VerificationFailed for another object. */
export async function readClaimNumber(
  store: Pick<Store, "get">,
  { clusterName, number }: { clusterName: string; number: number },
  signal: AbortSignal,
): Promise<StoredClaim | undefined> {
  const object = claimObject(clusterName, number);
  const document = await readJsonRecord(store, object, {
    schema: claimSchema,
    what: "a claim",
    hint: "find out who wrote it; to replace it, run etcd-backup claim take",
    signal,
  });
  if (document === undefined) return undefined;
  const { lineage, writer, since, reason, nonce } = document as ClaimRecord;
  if (lineage.length === 0)
    throw new OperatorError("VerificationFailed", `claim ${object} names no etcd cluster`, {
      hint: "to replace it, run etcd-backup claim take",
    });
  return { number, lineage, ...(writer === undefined ? {} : { writer }), since, reason, nonce };
}

/**
 * Puts the claim. Undefined when another one has its number. A store without conditional writes may accept both of two
 * claims that are put at the same moment, so the stored one is read and compared.
 */
export async function putClaim(
  store: Pick<Store, "put" | "get">,
  clusterName: string,
  { number, ...claim }: Claim,
  signal: AbortSignal,
): Promise<StoredClaim | undefined> {
  const nonce = randomUUID();
  const object = claimObject(clusterName, number);
  if (!(await putJsonRecord(store, object, { ...claim, nonce }, { signal }))) return undefined;
  const stored = await readClaimNumber(store, { clusterName, number }, signal);
  return stored?.nonce === nonce ? stored : undefined;
}

/** Claims that are read at a time. */
const claimsInFlight = 8;

/**
 * The folders in a listing that another writer holds, or whose claim cannot be read. A folder without a claim, or that
 * only command lines have written to, is nobody's. `writer` absent: a command line.
 */
export async function foldersOfOthers(
  store: Pick<Store, "get">,
  { objects, writer, signal }: { objects: Iterable<ObjectInfo>; writer?: string; signal: AbortSignal },
): Promise<Set<string>> {
  const claims = new Map<string, ClaimListing>();
  for (const object of objects) noteClaim(claims, object);
  const waiting = [...claims];
  const others = new Set<string>();
  const read = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [clusterName, { newest: number }] = next;
      const claim = await usableClaim(store, { clusterName, number }, signal);
      if (claim === "unusable" || (claim?.writer !== undefined && claim.writer.id !== writer))
        others.add(clusterName);
    }
  };
  await Promise.all(Array.from({ length: claimsInFlight }, read));
  return others;
}

/** The claim, or that it is damaged or of a later release. */
export function usableClaim(
  store: Pick<Store, "get">,
  at: { clusterName: string; number: number },
  signal: AbortSignal,
): Promise<StoredClaim | undefined | "unusable"> {
  return orUnusable(readClaimNumber(store, at, signal));
}
