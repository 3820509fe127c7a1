import { mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { withProgress } from "./build-progress.ts";
import { lockDirectory } from "./directory-lock.ts";
import { isExecutable } from "./executable.ts";
import { run, type RunOptions } from "./process.ts";
import { toolsCache } from "./tool-modules.ts";
import { UnavailableBinary } from "./unavailable-binary.ts";

const packages = ["etcd-server", "etcd-client"];
const lacking =
  "etcd 3.4 comes from Debian's packages etcd-server and etcd-client (its Go module cannot be built)";

/** etcd 3.4 as Debian 12 packages it, unpacked into the cache: nothing is installed, root is not needed. */
export async function debianEtcd(name: "etcd" | "etcdctl", env: NodeJS.ProcessEnv): Promise<string> {
  const root = join(toolsCache(env), "etcd-3.4-debian");
  const target = join(root, "usr", "bin", name);
  if (await isExecutable(target)) return target;
  await mkdir(toolsCache(env), { recursive: true });
  await using lock = await lockDirectory(`${root}.lock`, () => {});
  if (await isExecutable(target)) return target;
  await withProgress("fetching etcd 3.4 from Debian (once)", () => fetchInto(lock.path, env));
  await rename(join(lock.path, "root"), root);
  return target;
}

async function fetchInto(directory: string, env: NodeJS.ProcessEnv): Promise<void> {
  const options: RunOptions = { cwd: directory, wholeEnv: env };
  let downloaded = await apt(["download", ...packages], options);
  if (downloaded.code !== 0 && process.getuid?.() === 0) {
    await apt(["update"], options);
    downloaded = await apt(["download", ...packages], options);
  }
  if (downloaded.code !== 0) throw new UnavailableBinary(`${lacking}: ${downloaded.stderr.trim()}`);
  const archives = (await readdir(directory)).filter((file) => file.endsWith(".deb"));
  const other = archives.find((file) => !/_3\.4\.\d/.test(file));
  if (other !== undefined) throw new UnavailableBinary(`${lacking}; this host's apt offers ${other} instead`);
  for (const archive of archives) {
    const unpacked = await run("dpkg", ["-x", archive, "root"], options);
    if (unpacked.code !== 0) throw new UnavailableBinary(`${lacking}: ${archive}: ${unpacked.stderr.trim()}`);
  }
}

async function apt(args: string[], options: RunOptions): ReturnType<typeof run> {
  // Its sandbox user may not write into our directory; it would only warn about it.
  return run("apt-get", ["-o", "APT::Sandbox::User=root", ...args], options).catch((error: unknown) => {
    throw new UnavailableBinary(`${lacking}, and this host has no apt-get`, { cause: error });
  });
}
