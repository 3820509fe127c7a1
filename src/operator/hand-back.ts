import type { BackupControllerDeps } from "../controllers/backup/context.ts";
import { requestOf } from "../controllers/reconciler.ts";
import { interrupted } from "../core/backup/status.ts";
import { isFinished } from "./wake-ups.ts";

/** Milliseconds for all of them together: the process is to stop. */
const timeoutMs = 5_000;

/**
 * An attempt that an orderly stop interrupted does not count, and the next operator begins it at once. An attempt that
 * was reserved and never written into status has nothing to take back.
 */
export async function handBack(
  { resources, now, log }: Pick<BackupControllerDeps, "resources" | "now" | "log">,
  attempts: readonly { key: string; attempt: number }[],
): Promise<void> {
  const signal = AbortSignal.timeout(timeoutMs);
  await Promise.all(
    attempts.map(async ({ key, attempt }) => {
      try {
        const backup = await resources.backup(requestOf(key), signal);
        if (backup === undefined || isFinished(backup) || backup.status.attempts !== attempt) return;
        await resources.writeStatus(backup, interrupted(backup, { counts: false, now: now() }), signal);
      } catch (error) {
        log.warn({ backup: key, err: error }, "the interrupted attempt stays counted");
      }
    }),
  );
}
