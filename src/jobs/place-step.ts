import { rm } from "node:fs/promises";
import { commitWork, endWork } from "../restore/data-dir.ts";
import { workLayout } from "../restore/work-layout.ts";
import { type VolumeRestore, targetState } from "./target-state.ts";

/** The last container of a member's Job: syncs the data that etcd's tool made, and moves it into place. */
export async function placeData(
  step: VolumeRestore & { member: string | undefined; token: string | undefined; backup: string },
  now: Date,
): Promise<void> {
  const { id, dataDir, member, token, backup } = step;
  const target = { dataDir };
  if ((await targetState(step)) === "fresh") {
    await rm(workLayout(target, id).snapshot, { force: true });
    await commitWork(target, id, { restore: id, backup, member, token, restoredAt: now.toISOString() });
  }
  await endWork(target, id);
}
