import { open } from "node:fs/promises";
import { findBackup } from "../backup/catalog/list.ts";
import { download } from "../backup/download.ts";
import { OperatorError } from "../core/errors.ts";
import { beginWork } from "../restore/data-dir.ts";
import { workLayout } from "../restore/work-layout.ts";
import type { Store } from "../store/store.ts";
import { type VolumeRestore, targetState } from "./target-state.ts";

/**
 * The first container of a member's Job: verifies the backup and writes its snapshot into the work folder of the volume.
 * Throws Refused for a volume that holds other data, and VerificationFailed for a backup without the digest `sha256`. A
 * volume that this restore has filled keeps its data.
 */
export async function fetchSnapshot(
  restore: VolumeRestore & { clusterName: string; backup: string; sha256: string },
  options: {
    store: Pick<Store, "list" | "get" | "url">;
    signal: AbortSignal;
    onProgress: (done: number, total: number) => void;
  },
): Promise<void> {
  const { id, dataDir, clusterName, backup, sha256 } = restore;
  const { store, signal, onProgress } = options;
  const state = await targetState(restore);
  const { manifest } = await findBackup(store, { name: backup, clusterName, signal });
  if (manifest.snapshot.sha256 !== sha256)
    throw new OperatorError(
      "VerificationFailed",
      `the SHA-256 of backup ${backup} differs from that of the backup that the operator verified`,
    );
  await beginWork({ dataDir }, id, state);
  await using file = await open(workLayout({ dataDir }, id).snapshot, "wx", 0o600);
  await download(store, manifest, file, { signal, onProgress });
}
