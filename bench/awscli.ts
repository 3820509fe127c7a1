import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { originalEnvironment } from "../test/harness/environment.ts";
import { run } from "../test/harness/process.ts";
import { exists } from "./exists.ts";
import { benchCache } from "./filled-etcd.ts";
import { tell } from "./report.ts";

export const awscliVersion = "1.46.3";

export type Awscli = { path: string } | { missing: string };

/** The AWS command line in a Python environment of its own, made once; or why it cannot be had. */
export async function awscli(): Promise<Awscli> {
  const home = join(benchCache(), `awscli-${awscliVersion}`);
  const path = join(home, "bin", "aws");
  const finished = join(home, "finished");
  if (await exists(finished)) return { path };
  tell(`installing awscli ${awscliVersion} (once)`);
  // The paths in it are absolute: it is made where it stays, and counts when the last file is there.
  await rm(home, { recursive: true, force: true });
  await mkdir(benchCache(), { recursive: true });
  const pip = [join(home, "bin", "python"), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"];
  for (const [command = "", ...args] of [
    ["python3", "-m", "venv", home],
    [...pip, `awscli==${awscliVersion}`],
  ]) {
    const made = await run(command, args, { wholeEnv: originalEnvironment() });
    if (made.code !== 0) {
      const [last = "no reason given"] = `${made.stdout}\n${made.stderr}`.trim().split("\n").slice(-1);
      return { missing: `awscli ${awscliVersion} cannot be installed: ${last}` };
    }
  }
  await writeFile(finished, "");
  return { path };
}
