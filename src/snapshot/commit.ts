import { OperatorError } from "../core/errors.ts";
import { type Manifest, encodeManifest } from "./manifest.ts";
import type { Store } from "../store/store.ts";
import type { SaveStep } from "./step.ts";
import { describeFailures, readStored } from "./stored.ts";

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
  const { manifest, object, store, signal, step } = options;
  const bytes = encodeManifest(manifest);
  try {
    if (options.readBack) {
      const { checks } = await readStored(store, manifest, {
        signal,
        onProgress: (readBytes, totalBytes) => step({ step: "ReadingBack", readBytes, totalBytes }),
      });
      const failures = describeFailures(checks);
      if (failures !== undefined) {
        throw new OperatorError("VerificationFailed", `reading back ${manifest.stored.object}: ${failures}`, {
          permanent: false,
        });
      }
    }
    signal.throwIfAborted();
    // A manifest is read with every listing: an archive class is for the data alone.
    await store.put(object, [bytes], { signal, contentType: "application/json", storageClass: "Default" });
  } catch (error) {
    if (await landed(options, bytes)) return;
    throw error;
  }
}

/**
 * After a failed commit: true when the manifest is there all the same (its answer was lost). When it surely is not,
 * the data goes; when the store does not say, everything stays for the sweeper, which judges by age and run.
 */
async function landed({ store, object, manifest }: CommitOptions, bytes: Buffer): Promise<boolean> {
  const signal = AbortSignal.timeout(tidyTimeout);
  try {
    const info = await store.head(object, { signal });
    if (info === undefined) await store.remove(manifest.stored.object, { signal });
    return info !== undefined && info.size === bytes.length;
  } catch {
    return false;
  }
}
