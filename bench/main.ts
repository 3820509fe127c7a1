import { writeFile } from "node:fs/promises";
import { type Awscli, awscli } from "./awscli.ts";
import { benchLatency } from "./latency.ts";
import { machine } from "./machine.ts";
import { type Options, type Section, parseOptions, usage } from "./options.ts";
import { benchParts } from "./parts.ts";
import { profileSave } from "./profile.ts";
import { mebibytes, print, log } from "./report.ts";
import { benchRestore } from "./restore.ts";
import { benchSave } from "./save.ts";
import { type Setting, createSetting } from "./setting.ts";
import { benchStart } from "./start.ts";
import { benchStatus } from "./status.ts";

// Measures etcd-backup beside etcdctl, etcdutl and aws, on the same etcd and store: `npm run bench -- --help`.

const sectionsOnServers = {
  save: benchSave,
  status: benchStatus,
  parts: benchParts,
  latency: benchLatency,
  restore: benchRestore,
} satisfies Partial<Record<Section, (setting: Setting) => Promise<unknown>>>;

/** Runs the chosen sections. A section that fails is recorded with its error, and the others still run. */
async function bench(
  options: Options,
  aws: Awscli,
): Promise<{ results: Record<string, unknown>; failed: boolean }> {
  const results: Record<string, unknown> = {};
  let failed = false;
  const section = async (name: Section, benchSection: () => Promise<unknown>): Promise<void> => {
    if (!options.only.has(name)) return;
    results[name] = await benchSection().catch((error: unknown) => {
      failed = true;
      log(`${name}: ${messageOf(error)}`);
      return { error: messageOf(error) };
    });
  };
  await section("start", benchStart);
  if (options.only.size === 1 && options.only.has("start")) return { results, failed };
  await using setting = await createSetting(options, aws);
  printDatabase(setting);
  results["databaseBytes"] = setting.etcd.dbSize;
  for (const name of ["save", "status", "parts", "latency", "restore"] as const)
    await section(name, () => sectionsOnServers[name](setting));
  return { results, failed };
}

async function profile(options: Options, directory: string, aws: Awscli): Promise<void> {
  await using setting = await createSetting(options, aws);
  printDatabase(setting);
  await profileSave(setting, directory);
}

function printDatabase({ etcd }: Setting): void {
  print(`database ${mebibytes(etcd.dbSize)}, one member, plain http on loopback\n`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function main(args: string[]): Promise<number> {
  let options: Options | "help";
  try {
    options = parseOptions(args);
  } catch (error) {
    log(`${messageOf(error)}\n\n${usage}`);
    return 2;
  }
  if (options === "help") {
    print(usage);
    return 0;
  }
  const sectionsWithAws: Section[] = ["save", "latency", "restore"];
  const needsAws =
    options.profile === undefined && sectionsWithAws.some((section) => options.only.has(section));
  const aws: Awscli = needsAws ? await awscli() : { missing: "not asked for" };
  const machineText = await machine(options, aws);
  print(`${machineText}\n`);
  if (options.profile !== undefined) {
    await profile(options, options.profile, aws);
    return 0;
  }
  const { results, failed } = await bench(options, aws);
  if (options.json !== undefined) {
    const { rounds, size, store } = options;
    const output = { machine: machineText, options: { rounds, size, store }, ...results };
    await writeFile(options.json, `${JSON.stringify(output)}\n`);
  }
  return failed ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  log(`bench: ${messageOf(error)}`);
  return 1;
});
