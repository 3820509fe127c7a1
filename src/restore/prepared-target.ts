import { randomBytes } from "node:crypto";
import {
  beginWork,
  endWork,
  finishWork,
  placeWork,
  syncWork,
  throwIfTakenOver,
  takeBackWork,
} from "./data-dir.ts";
import { checkTarget } from "./target.ts";
import { type RestoreTarget, type WorkLayout, workLayout } from "./work-layout.ts";

/** A target that a restore works in. Disposing of it restores the state from before, unless it was finished. */
export interface PreparedTarget extends WorkLayout, AsyncDisposable {
  /** Does everything of a commit except the last steps, which are unlikely to fail. */
  sync(marker: object): Promise<void>;
  /** Puts the result in place. Call it after `sync`. */
  commit(): Promise<void>;
  /** Keeps the result of `commit`, and removes everything else. */
  finish(): Promise<void>;
  /** Throws Conflict when another restore has taken over the target, which explains any other error. */
  throwIfTakenOver(): Promise<void>;
}

/** Checks the target and begins the work. Throws Refused or Conflict, and then the target is as before. */
export async function prepareTarget(target: RestoreTarget): Promise<PreparedTarget> {
  await checkTarget(target);
  const id = randomBytes(4).toString("hex");
  const created = new Set<string>();
  try {
    await beginWork(target, id, created);
  } catch (error) {
    await endWork(target, id, created);
    throw error;
  }
  let isPlaced = false;
  return {
    ...workLayout(target, id),
    sync: (marker) => syncWork(target, id, marker),
    async commit() {
      await placeWork(target, id);
      isPlaced = true;
    },
    async finish() {
      isPlaced = false;
      await finishWork(target, id);
    },
    throwIfTakenOver: () => throwIfTakenOver(target, id),
    async [Symbol.asyncDispose]() {
      if (isPlaced) await takeBackWork(target, id);
      await endWork(target, id, created);
    },
  };
}
