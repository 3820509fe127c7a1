import type { FileHandle } from "node:fs/promises";
import { OperatorError } from "../core/errors.ts";
import type { Store } from "../store/store.ts";
import type { Manifest } from "./manifest/manifest.ts";
import { describeFailures, verifyStored } from "./verify.ts";

/** Writes the plain snapshot of a backup into an open file. Throws VerificationFailed unless every check agreed. */
export async function download(
  store: Pick<Store, "get">,
  manifest: Manifest,
  file: FileHandle,
  options: { signal: AbortSignal; onProgress?: (readBytes: number, totalBytes: number) => void },
): Promise<void> {
  const { checks } = await verifyStored(store, manifest, {
    ...options,
    write: (chunk) => writeAll(file, chunk),
  });
  const failures = describeFailures(checks);
  if (failures === undefined) return;
  throw new OperatorError("VerificationFailed", `${manifest.name} is damaged: ${failures}`, {
    hint: "choose another backup: see `etcd-backup list`",
  });
}

/** Writes the whole chunk. One call of `write` may write only a part of it. */
export async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let offset = 0; offset < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, offset);
    offset += bytesWritten;
  }
}
