import { rm } from "node:fs/promises";
import { commitWork, endWork } from "../restore/data-dir.ts";
import { workLayout } from "../restore/work-layout.ts";
import { type VolumeRestore, targetState } from "./target-state.ts";

/**
 * The last container of a member's Job: syncs the data that etcd's tool has made and renames it into the data directory.
 * Run again after a crash, it only removes the work folder of a volume that it has filled.
 */
export async function placeData(
  restore: VolumeRestore & { member: string | undefined; token: string | undefined; backup: string },
  now: Date,
): Promise<void> {
  const { id, dataDir, member, token, backup } = restore;
  const target = { dataDir };
  if ((await targetState(restore)) === "fresh") {
    await rm(workLayout(target, id).snapshot, { force: true });
    await commitWork(target, id, { restore: id, backup, member, token, restoredAt: now.toISOString() });
  }
  await endWork(target, id);
}
