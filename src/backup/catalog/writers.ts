import { randomUUID } from "node:crypto";
import type { Infer } from "../../api/schema/schema.ts";
import type { Heartbeat, WriterIdentity } from "../../core/backup/claim.ts";
import { OperatorError } from "../../core/errors.ts";
import type { Store } from "../../store/store.ts";
import { orUnusable, putJsonRecord, readJsonRecord } from "./json-record.ts";

/** Beside the folders of the clusters, whose names never begin with a dot. */
const folder = ".writers/";

const heartbeatSchema = {
  type: "object",
  required: ["who", "holdSeconds"],
  properties: {
    who: { type: "string", maxLength: 512 },
    holdSeconds: { type: "integer", minimum: 1 },
    /** When the process that put it first renewed the writer, by the store's clock. Absent: with this very object. */
    since: { type: "string", maxLength: 64 },
  },
} as const;

/** A sign of life as a listing shows it. */
export interface ListedHeartbeat {
  object: string;
  id: string;
  renewal: number;
  nonce: string;
  /** By the store's clock. */
  modified: Date;
}

function heartbeatObject({ id, renewal, nonce }: WriterIdentity): string {
  return `${folder}${id}/${String(renewal).padStart(20, "0")}-${nonce}`;
}

/** The signs of life of one writer, or of all. */
export async function listHeartbeats(
  store: Pick<Store, "list">,
  signal: AbortSignal,
  id?: string,
): Promise<ListedHeartbeat[]> {
  const listed = await Array.fromAsync(store.list(id === undefined ? folder : `${folder}${id}/`, { signal }));
  return listed.flatMap(({ name, modified }) => {
    const [, writer = "", digits = "", nonce = ""] =
      /^\.writers\/([a-z0-9-]{1,64})\/(\d{20})-([0-9a-f]{8})$/.exec(name) ?? [];
    const renewal = Number(digits);
    return writer === "" || !Number.isSafeInteger(renewal)
      ? []
      : [{ object: name, id: writer, renewal, nonce, modified }];
  });
}

/**
 * Puts a sign of life of this writer, after its resource names the renewal. Keeps one that exists. `since`: when this
 * process first renewed the writer, unless it does so now.
 */
export async function putHeartbeat(
  store: Pick<Store, "put">,
  writer: WriterIdentity,
  { holdMs, since }: { holdMs: number; since?: Date | undefined },
  signal: AbortSignal,
): Promise<void> {
  const begun = since === undefined ? {} : { since: since.toISOString() };
  const record = { who: writer.who, holdSeconds: Math.ceil(holdMs / 1000), ...begun };
  await putJsonRecord(store, heartbeatObject(writer), record, { signal });
}

/** When this sign of life was put, by the store's clock. */
export async function heartbeatTime(
  store: Pick<Store, "head">,
  writer: WriterIdentity,
  signal: AbortSignal,
): Promise<Date | undefined> {
  return (await store.head(heartbeatObject(writer), { signal }))?.modified;
}

/** Since when the process that put this sign of life renews the writer. One that cannot be read counts as the first. */
export async function processSince(
  store: Pick<Store, "get">,
  { object, modified }: ListedHeartbeat,
  signal: AbortSignal,
): Promise<Date> {
  const record = await readHeartbeat(store, object, signal);
  if (record === "unusable") return new Date(0);
  return record?.since === undefined ? modified : new Date(record.since);
}

/** Removes the signs of life of this writer that are older than its present one. */
export async function removeOldHeartbeats(
  store: Pick<Store, "remove">,
  { id, renewal }: WriterIdentity,
  listed: readonly ListedHeartbeat[],
  signal: AbortSignal,
): Promise<void> {
  for (const beat of listed)
    if (beat.id === id && beat.renewal < renewal)
      await store.remove(beat.object, { signal, hideLocked: true });
}

/**
 * The silence of writers and how long each holds what it has. `now`: by the store's clock, as `modified` is. One whose
 * record cannot be read is taken for alive: to take a folder from a living writer is worse than to wait for a person.
 */
export async function measureSilence(
  store: Pick<Store, "get">,
  listed: readonly ListedHeartbeat[],
  now: Date,
  signal: AbortSignal,
): Promise<Heartbeat[]> {
  return Promise.all(
    listed.map(async ({ object, id, renewal, nonce, modified }) => ({
      id,
      renewal,
      nonce,
      silentMs: Math.max(0, now.getTime() - modified.getTime()),
      holdMs: await holdMsOf(store, object, signal),
    })),
  );
}

async function holdMsOf(store: Pick<Store, "get">, object: string, signal: AbortSignal): Promise<number> {
  const record = await readHeartbeat(store, object, signal);
  // Without a record it was renewed after the listing.
  if (record === undefined || record === "unusable") return Number.POSITIVE_INFINITY;
  return 1000 * record.holdSeconds;
}

async function readHeartbeat(
  store: Pick<Store, "get">,
  object: string,
  signal: AbortSignal,
): Promise<Infer<typeof heartbeatSchema> | undefined | "unusable"> {
  const read = readJsonRecord(store, object, {
    schema: heartbeatSchema,
    what: "a sign of life",
    hint: "find out who wrote it",
    signal,
  });
  return orUnusable(read as Promise<Infer<typeof heartbeatSchema> | undefined>);
}

/** The time by the store's clock: that of an object which is put for this, and removed. */
export async function storeTime(
  store: Pick<Store, "put" | "head" | "remove">,
  signal: AbortSignal,
): Promise<Date> {
  const object = `.probe-${randomUUID()}`;
  await store.put(object, [Buffer.from("written to read the store's clock\n")], {
    storageClass: "Default",
    signal,
  });
  try {
    const info = await store.head(object, { signal });
    if (info !== undefined) return info.modified;
    throw new OperatorError("StoreFailed", `the store no longer holds ${object}, which was just stored`);
  } finally {
    await store.remove(object, { signal, hideLocked: true });
  }
}
