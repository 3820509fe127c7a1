import { crc32c } from "@node-rs/crc32";
import { OperatorError, asOperatorError } from "../core/errors.ts";
import { type Manifest, encodeManifest } from "./manifest/manifest.ts";
import type { Store } from "../store/store.ts";
import type { SaveStep } from "./progress.ts";
import { describeFailures, readStored } from "./verify.ts";
import { hex8 } from "./transfer.ts";

/** Milliseconds to tidy up after a failure, when the run's own signal may have fired already. */
const tidyTimeout = 10_000;

export interface CommitOptions {
  store: Pick<Store, "put" | "get" | "head" | "remove">;
  manifest: Manifest;
  /** The manifest's object name. */
  object: string;
  readBack: boolean;
  signal: AbortSignal;
  step: (step: SaveStep) => void;
}

/** Reads back where asked, then writes the manifest. Until that has happened the data object is nobody's and goes again. */
export async function commit(options: CommitOptions): Promise<void> {
  const { manifest, object, store, signal } = options;
  try {
    if (options.readBack) await readBack(options);
    signal.throwIfAborted();
  } catch (error) {
    await removeData(options, AbortSignal.timeout(tidyTimeout));
    throw error;
  }
  const bytes = encodeManifest(manifest);
  // A manifest is read with every listing: an archive class is for the data alone.
  const attributes = { contentType: "application/json", storageClass: "Default" } as const;
  // Whoever took over meanwhile has found the manifest and counts on it, or has not and has removed the data.
  const takeBack = async (during: AbortSignal): Promise<boolean> =>
    (await store.head(manifest.stored.object, { signal: during })) === undefined;
  try {
    await store.put(object, [bytes], { ...attributes, takeBack, signal });
  } catch (error) {
    switch (await landed(options, bytes)) {
      case "yes":
        return;
      case "no":
        throw error;
      case "unknown":
        throw withUnknownOutcome(error);
    }
  }
}

async function readBack({ store, manifest, signal, step }: CommitOptions): Promise<void> {
  const { checks } = await readStored(store, manifest, {
    signal,
    onProgress: (readBytes, totalBytes) => step({ step: "ReadingBack", readBytes, totalBytes }),
  }).catch((error: unknown) => {
    if (error instanceof OperatorError && error.code === "NotFound") throw differs(manifest, error.message);
    throw error;
  });
  const failures = describeFailures(checks);
  if (failures !== undefined) throw differs(manifest, failures);
}

/** What was sent is gone or altered. It can be sent again. */
function differs({ stored }: Manifest, failures: string): OperatorError {
  const message = `reading back ${stored.object}: ${failures}`;
  return new OperatorError("VerificationFailed", message, { permanent: false });
}

/**
 * After a failed put: is the manifest there all the same? Its answer may have been lost, or have come too late. When it
 * is not, the data goes; when the store does not say, everything stays for the sweeper, which judges by age and run.
 */
async function landed(options: CommitOptions, bytes: Buffer): Promise<"yes" | "no" | "unknown"> {
  const signal = AbortSignal.timeout(tidyTimeout);
  try {
    const info = await options.store.head(options.object, { signal });
    const crc = hex8(crc32c(bytes));
    if (info !== undefined) return info.size === bytes.length && (info.crc32c ?? crc) === crc ? "yes" : "no";
  } catch {
    return "unknown";
  }
  await removeData(options, signal);
  return "no";
}

/** Why the commit failed says more than why this does; what is left is found by the sweeper. */
async function removeData({ store, manifest }: CommitOptions, signal: AbortSignal): Promise<void> {
  await store.remove(manifest.stored.object, { signal }).catch(() => {});
}

function withUnknownOutcome(thrown: unknown): OperatorError {
  const { code, message, permanent, hint } = asOperatorError(thrown);
  const init = { permanent, cause: thrown, outcomeUnknown: true };
  return new OperatorError(code, message, hint === undefined ? init : { ...init, hint });
}
