import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import { binary } from "../test/harness/binaries.ts";
import { run } from "../test/harness/process.ts";
import { pinnedVersion, toolModule } from "../test/harness/tool-modules.ts";
import { type Awscli, awscliVersion } from "./awscli.ts";
import type { Options } from "./options.ts";
import { programVersion } from "../src/cli/version.ts";

/** The machine and the versions of the programs, in two lines. */
export async function machine({ store }: Options, aws: Awscli): Promise<string> {
  const memory = Math.round(totalmem() / 1024 ** 3);
  const [model = "unknown CPU"] = cpus().map((cpu) => cpu.model.trim());
  const storeVersion = await pinnedVersion(store, await toolModule(store, "3.6", process.env));
  const versions = [
    `etcd-backup ${programVersion()}`,
    `Node.js ${process.versions.node} (zstd ${process.versions["zstd"] ?? "?"}, OpenSSL ${process.versions.openssl})`,
    `etcd ${await etcdVersion()}`,
    `${store} ${storeVersion.replace(/^v/, "")}`,
    ...("path" in aws ? [`awscli ${awscliVersion}`] : []),
    await pythonVersion(),
  ];
  const [load = 0] = loadavg();
  return `${model}, ${availableParallelism()} cores, ${memory} GiB, Linux ${release()}, load average ${load.toFixed(2)} at the start\n${versions.join(", ")}`;
}

async function etcdVersion(): Promise<string> {
  const { stdout } = await run(await binary("etcdctl"), ["version"]);
  return /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? "3.6";
}

/** Python measures the child processes and drops files from the page cache. */
async function pythonVersion(): Promise<string> {
  const answer = await run("python3", ["--version"]).catch(() => undefined);
  if (answer?.code !== 0) throw new Error("the bench needs Linux and python3 on PATH");
  return answer.stdout.trim();
}
