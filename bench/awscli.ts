import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { originalEnvironment } from "../test/harness/environment.ts";
import { run } from "../test/harness/process.ts";
import { exists } from "./exists.ts";
import { benchCache } from "./filled-etcd.ts";
import { log } from "./report.ts";

export const awscliVersion = "1.46.3";

export type Awscli = { path: string } | { missing: string };

/** The AWS command line, installed once into a separate Python environment; or why it cannot be installed. */
export async function awscli(): Promise<Awscli> {
  const home = join(benchCache(), `awscli-${awscliVersion}`);
  const path = join(home, "bin", "aws");
  const finished = join(home, "finished");
  if (await exists(finished)) return { path };
  log(`installing awscli ${awscliVersion} (once)`);
  // Its paths are absolute, so it is installed in its final place. The file `finished` marks a complete installation.
  await rm(home, { recursive: true, force: true });
  await mkdir(benchCache(), { recursive: true });
  const pip = [join(home, "bin", "python"), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"];
  for (const [command = "", ...args] of [
    ["python3", "-m", "venv", home],
    [...pip, `awscli==${awscliVersion}`],
  ]) {
    const result = await run(command, args, { wholeEnv: originalEnvironment() });
    if (result.code !== 0) {
      const [last = "no reason given"] = `${result.stdout}\n${result.stderr}`.trim().split("\n").slice(-1);
      return { missing: `awscli ${awscliVersion} cannot be installed: ${last}` };
    }
  }
  await writeFile(finished, "");
  return { path };
}
