import type { BackupControllerDeps } from "../controllers/backup/context.ts";
import { requestOf } from "../controllers/reconciler.ts";
import { interrupted } from "../core/backup/status.ts";
import { isFinished } from "../core/conditions.ts";

/** Milliseconds for all attempts together, since the process is stopping. */
const timeoutMs = 5_000;

/**
 * Writes to status that an orderly stop interrupted the attempts. Such an attempt does not count, and the next operator
 * begins it at once. An attempt that was reserved but not yet written to status needs no change.
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
        log.warn({ backup: key, err: error }, "cannot hand back the interrupted attempt: it stays counted");
      }
    }),
  );
}
