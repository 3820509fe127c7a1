import { crc32c } from "@node-rs/crc32";
import { OperatorError, asOperatorError } from "../core/errors.ts";
import { hex8 } from "../core/hex.ts";
import type { Store } from "../store/store.ts";
import { type Manifest, encodeManifest } from "./manifest/manifest.ts";
import type { SaveStep } from "./progress.ts";
import { describeFailures, verifyStored } from "./verify.ts";

/** Milliseconds to clean up after a failure. The run's own signal may have fired already. */
const cleanupTimeoutMs = 10_000;

export interface CommitOptions {
  store: Pick<Store, "put" | "get" | "head" | "remove">;
  manifest: Manifest;
  /** The manifest's object name. */
  object: string;
  readBack: boolean;
  /** Throws when the folder no longer belongs to this backup's etcd cluster and writer. */
  confirm: () => Promise<void>;
  signal: AbortSignal;
  step: (step: SaveStep) => void;
}

/**
 * Reads the data back where asked, makes sure that the folder is still the backup's, writes the manifest, which makes the data a backup, and looks at the data once more.
 * After a failure the data object is deleted, unless the store does not say whether it holds the manifest: then the
 * error has `outcomeUnknown`.
 */
export async function commit(options: CommitOptions): Promise<void> {
  const { manifest, object, store, signal } = options;
  try {
    if (options.readBack) await readBack(options);
    await options.confirm();
    signal.throwIfAborted();
  } catch (error) {
    await removeData(options, AbortSignal.timeout(cleanupTimeoutMs));
    throw error;
  }
  const bytes = encodeManifest(manifest);
  // Every listing reads the manifests, so an archive storage class is for the data alone.
  const attributes = { contentType: "application/json", storageClass: "Default" } as const;
  // Without its data another operator has discarded this attempt, so the manifest goes too. With it, that operator may
  // have recorded the backup, so the manifest stays.
  const takeBack = async (during: AbortSignal): Promise<boolean> =>
    (await store.head(manifest.stored.object, { signal: during })) === undefined;
  try {
    await store.put(object, [bytes], { ...attributes, takeBack, signal });
  } catch (error) {
    switch (await outcomeOf(options, bytes)) {
      case "stored":
        break;
      case "notStored":
        throw error;
      case "unknown":
        throw withUnknownOutcome(error);
    }
  }
  await confirmData(options);
}

/**
 * Throws StoreFailed, which is not permanent, when the data was deleted or replaced before the manifest landed: a sweep
 * deletes data without a manifest, and a person may delete any object. The manifest is then deleted. It stands by now,
 * so neither an abort nor a store that does not answer this HEAD changes the outcome: `put` has proved the data.
 */
async function confirmData({ store, manifest, object }: CommitOptions): Promise<void> {
  const signal = AbortSignal.timeout(cleanupTimeoutMs);
  const { object: data, bytes } = manifest.stored;
  let found: number | undefined;
  try {
    found = (await store.head(data, { signal }))?.size;
  } catch {
    return;
  }
  if (found === bytes) return;
  const problem = found === undefined ? "no longer exists" : `has ${found} bytes, not ${bytes}`;
  const outcomeUnknown = await store.remove(object, { signal }).then(
    () => false,
    () => true,
  );
  throw new OperatorError("StoreFailed", `${data} ${problem} after its manifest was written`, {
    hint: "find out who deletes objects in this store: a lifecycle rule, a person or another program",
    outcomeUnknown,
  });
}

async function readBack({ store, manifest, signal, step }: CommitOptions): Promise<void> {
  const { checks } = await verifyStored(store, manifest, {
    signal,
    onProgress: (readBytes, totalBytes) => step({ step: "ReadingBack", readBytes, totalBytes }),
  }).catch((error: unknown) => {
    if (error instanceof OperatorError && error.code === "NotFound") throw differs(manifest, error.message);
    throw error;
  });
  const failures = describeFailures(checks);
  if (failures !== undefined) throw differs(manifest, failures);
}

/** The error is not permanent: another attempt sends the data again. */
function differs({ stored }: Manifest, failures: string): OperatorError {
  const message = `reading back ${stored.object}: ${failures}`;
  return new OperatorError("VerificationFailed", message, { permanent: false });
}

/**
 * Whether the store holds the manifest after its put failed. The put may have succeeded and its answer have been lost.
 * Without a stored manifest the data is deleted. While that is unknown, the data stays for the sweep of a later
 * attempt.
 */
async function outcomeOf(options: CommitOptions, bytes: Buffer): Promise<"stored" | "notStored" | "unknown"> {
  const signal = AbortSignal.timeout(cleanupTimeoutMs);
  try {
    const info = await options.store.head(options.object, { signal });
    const crc = hex8(crc32c(bytes));
    if (info !== undefined)
      return info.size === bytes.length && (info.crc32c ?? crc) === crc ? "stored" : "notStored";
  } catch {
    return "unknown";
  }
  await removeData(options, signal);
  return "notStored";
}

/** Ignores an error of the deletion: the caller reports the commit error, and a later sweep deletes the data. */
async function removeData({ store, manifest }: CommitOptions, signal: AbortSignal): Promise<void> {
  await store.remove(manifest.stored.object, { signal }).catch(() => {});
}

function withUnknownOutcome(thrown: unknown): OperatorError {
  const { code, message, permanent, hint } = asOperatorError(thrown);
  const init = { permanent, cause: thrown, outcomeUnknown: true };
  return new OperatorError(code, message, hint === undefined ? init : { ...init, hint });
}
