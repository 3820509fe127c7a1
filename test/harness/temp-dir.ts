import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeAtExit } from "./exit-cleanup.ts";

/** Makes a temporary directory. It is removed on dispose, or at the latest when the test process ends. */
export async function tempDir(prefix: string): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), `${prefix}-`));
  const registration = removeAtExit(path);
  return {
    path,
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
      registration[Symbol.dispose]();
    },
  };
}
