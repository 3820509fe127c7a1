import { randomBytes } from "node:crypto";
import { rmdir } from "node:fs/promises";
import { beginWork, conflictIn, endWork, placeWork, syncWork } from "./data-dir.ts";
import { missingDirectories, pathExists } from "./directories.ts";
import { checkTarget } from "./target.ts";
import { directoriesOf, type RestoreTarget, workFolder, type WorkLayout, workLayout } from "./work-layout.ts";

/** A target that a restore works in. Disposing of it restores the state from before, unless it was committed. */
export interface PreparedTarget extends WorkLayout, AsyncDisposable {
  /** Does everything of a commit except the last steps, which are unlikely to fail. */
  sync(marker: object): Promise<void>;
  /** Puts the result in place. Call it after `sync`, with the same marker. */
  commit(marker: object): Promise<void>;
  /** Throws Conflict when another restore has taken over the target, which explains any other error. */
  throwIfTakenOver(): Promise<void>;
}

/** Checks the target and begins the work. Throws Refused, and then the target is as before. */
export async function prepareTarget(target: RestoreTarget): Promise<PreparedTarget> {
  await checkTarget(target);
  const id = randomBytes(4).toString("hex");
  const created = (
    await Promise.all(directoriesOf(target).map(([, path]) => missingDirectories(path)))
  ).flat();
  const end = async (): Promise<void> => {
    await endWork(target, id);
    // Directories that hold data by now, or the work of another restore, are not empty and stay.
    for (const path of created) await rmdir(path).catch(() => {});
  };
  try {
    await beginWork(target, id);
  } catch (error) {
    await end();
    throw error;
  }
  return {
    ...workLayout(target, id),
    sync: (marker) => syncWork(target, id, marker),
    commit: (marker) => placeWork(target, id, marker),
    async throwIfTakenOver() {
      for (const [, path] of directoriesOf(target))
        if (!(await pathExists(workFolder(path, id)))) throw conflictIn(path);
    },
    [Symbol.asyncDispose]: end,
  };
}
