import { open } from "node:fs/promises";
import { findBackup } from "../backup/catalog/find.ts";
import { download } from "../backup/download.ts";
import { OperatorError } from "../core/errors.ts";
import { syncPath } from "../restore/chown-and-sync.ts";
import { beginWork, endWork } from "../restore/data-dir.ts";
import { workLayout } from "../restore/work-layout.ts";
import type { Store } from "../store/store.ts";
import { type VolumeRestore, targetState } from "./target-state.ts";

/**
 * The first container of a member's Job: verifies the backup and writes its snapshot into the work folder of the volume.
 * Throws Refused for a volume that holds other data, and VerificationFailed for a backup without the digest `sha256`.
 * `placed`: this restore has filled the volume already, by its marker with the restore's UID. Then nothing is read from
 * the store and nothing is written beside the data, which may leave no room.
 */
export async function fetchSnapshot(
  restore: VolumeRestore & { clusterName: string; backup: string; sha256: string },
  options: {
    store: Pick<Store, "list" | "get" | "url">;
    signal: AbortSignal;
    onProgress: (done: number, total: number) => void;
  },
): Promise<"fetched" | "placed"> {
  const { id, dataDir, clusterName, backup, sha256 } = restore;
  const { store, signal, onProgress } = options;
  if ((await targetState(restore)) === "placed") {
    // The step that renamed the data into place may have ended before it could sync the directory.
    await syncPath(dataDir);
    await endWork({ dataDir }, id);
    return "placed";
  }
  const { manifest } = await findBackup(store, { name: backup, clusterName, signal });
  if (manifest.snapshot.sha256 !== sha256)
    throw new OperatorError(
      "VerificationFailed",
      `the SHA-256 of backup ${backup} differs from that of the backup that the operator verified`,
    );
  await beginWork({ dataDir }, id);
  await using file = await open(workLayout({ dataDir }, id).snapshot, "wx", 0o600);
  await download(store, manifest, file, { signal, onProgress });
  return "fetched";
}
