import { run } from "../harness/process.ts";

/** A mounted file system, which is unmounted on dispose; or the reason why this user cannot mount one. */
export type Mount = AsyncDisposable | { reason: string };

/** Mounts a tmpfs at a directory. `options` are those of mount(8), such as `size=1m`. */
export async function mountTmpfs(directory: string, options: string): Promise<Mount> {
  const args = ["-t", "tmpfs", "-o", options, "tmpfs", directory];
  const mounted = await run("mount", args).catch((error: unknown) => ({ code: 1, stderr: String(error) }));
  if (mounted.code !== 0) return { reason: `a tmpfs cannot be mounted here: ${mounted.stderr.trim()}` };
  return { [Symbol.asyncDispose]: async () => void (await run("umount", [directory])) };
}
