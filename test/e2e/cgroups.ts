import { mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { eventually } from "../support/eventually.ts";

/** The root of all cgroups that the node's kubelet creates. */
export const cgroupRoot = "/etcd-backup-e2e";

export async function makeCgroups(): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    await mkdir(`${hierarchy}${cgroupRoot}`, { recursive: true });
    // In cgroups v1 these are empty after creation, and then the cgroup accepts no process.
    for (const name of ["cpuset.cpus", "cpuset.mems"]) {
      const inherited = await readFile(`${hierarchy}/${name}`, "utf8").catch(() => undefined);
      if (inherited !== undefined) await writeFile(`${hierarchy}${cgroupRoot}/${name}`, inherited);
    }
  }
}

/** Removes all cgroups below the root. They may be in use for a short time after their processes were killed. */
export async function clearCgroups(): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    const path = `${hierarchy}${cgroupRoot}`;
    await eventually(`${path} holds no process of an earlier run`, () => removeTree(path), 5);
  }
}

/** False when a cgroup is in use. */
async function removeTree(path: string): Promise<boolean> {
  const below = await readdir(path, { withFileTypes: true }).catch(() => []);
  for (const entry of below)
    if (entry.isDirectory() && !(await removeTree(`${path}/${entry.name}`))) return false;
  try {
    await rmdir(path);
    return true;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") return true;
    if (code === "EBUSY") return false;
    throw error;
  }
}

/** The mount points of cgroups: one, or with cgroups v1 one for each controller. */
async function hierarchies(): Promise<string[]> {
  const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => line.split(" "));
  return mounts.flatMap(([, path = "", type]) => (type === "cgroup" || type === "cgroup2" ? [path] : []));
}
