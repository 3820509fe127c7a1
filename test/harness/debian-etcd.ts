import { mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { withProgress } from "./build-progress.ts";
import { lockDirectory } from "./directory-lock.ts";
import { isExecutable } from "./executable.ts";
import { run, type RunOptions } from "./process.ts";
import { toolsCache } from "./tool-modules.ts";
import { UnavailableBinary } from "./unavailable-binary.ts";

const packages = ["etcd-server", "etcd-client"];
const unavailable =
  "etcd 3.4 comes from Debian's packages etcd-server and etcd-client (its Go module cannot be built)";

/** Unpacks etcd 3.4 from Debian 12's packages into the cache. It installs nothing and needs no root. */
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
  if (downloaded.code !== 0) throw new UnavailableBinary(`${unavailable}: ${downloaded.stderr.trim()}`);
  const archives = (await readdir(directory)).filter((file) => file.endsWith(".deb"));
  const other = archives.find((file) => !/_3\.4\.\d/.test(file));
  if (other !== undefined)
    throw new UnavailableBinary(`${unavailable}; this host's apt offers ${other} instead`);
  for (const archive of archives) {
    const unpacked = await run("dpkg", ["-x", archive, "root"], options);
    if (unpacked.code !== 0)
      throw new UnavailableBinary(`${unavailable}: ${archive}: ${unpacked.stderr.trim()}`);
  }
}

async function apt(args: string[], options: RunOptions): ReturnType<typeof run> {
  // apt's sandbox user cannot write to the cache. Without this option apt prints a warning.
  return run("apt-get", ["-o", "APT::Sandbox::User=root", ...args], options).catch((error: unknown) => {
    throw new UnavailableBinary(`${unavailable}, and this host has no apt-get`, { cause: error });
  });
}
