import { writeFile } from "node:fs/promises";
import { type Awscli, awscli } from "./awscli.ts";
import { benchLatency } from "./latency.ts";
import { machine } from "./machine.ts";
import { type Options, type Section, parseOptions, usage } from "./options.ts";
import { benchParts } from "./parts.ts";
import { profileSave } from "./profile.ts";
import { mebibytes, print, tell } from "./report.ts";
import { benchRestore } from "./restore.ts";
import { benchSave } from "./save.ts";
import { type Setting, createSetting } from "./setting.ts";
import { benchStart } from "./start.ts";
import { benchStatus } from "./status.ts";

// Side by side with etcdctl, etcdutl and aws, on the same etcd and store: `npm run bench -- --help`.

const onServers = {
  save: benchSave,
  status: benchStatus,
  parts: benchParts,
  latency: benchLatency,
  restore: benchRestore,
} satisfies Partial<Record<Section, (setting: Setting) => Promise<unknown>>>;

/** What each section measured, or why it could not: one that fails does not take the others with it. */
async function bench(
  options: Options,
  aws: Awscli,
): Promise<{ results: Record<string, unknown>; failed: boolean }> {
  const results: Record<string, unknown> = {};
  let failed = false;
  const section = async (name: Section, measureIt: () => Promise<unknown>): Promise<void> => {
    if (!options.only.has(name)) return;
    results[name] = await measureIt().catch((error: unknown) => {
      failed = true;
      tell(`${name}: ${messageOf(error)}`);
      return { error: messageOf(error) };
    });
  };
  await section("start", benchStart);
  if (options.only.size === 1 && options.only.has("start")) return { results, failed };
  await using setting = await createSetting(options, aws);
  printDatabase(setting);
  results["databaseBytes"] = setting.etcd.dbSize;
  for (const name of ["save", "status", "parts", "latency", "restore"] as const)
    await section(name, () => onServers[name](setting));
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
    tell(`${messageOf(error)}\n\n${usage}`);
    return 2;
  }
  if (options === "help") {
    print(usage);
    return 0;
  }
  const copied: Section[] = ["save", "latency", "restore"];
  const wantsAws = options.profile === undefined && copied.some((section) => options.only.has(section));
  const aws: Awscli = wantsAws ? await awscli() : { missing: "not asked for" };
  const described = await machine(options, aws);
  print(`${described}\n`);
  if (options.profile !== undefined) {
    await profile(options, options.profile, aws);
    return 0;
  }
  const { results, failed } = await bench(options, aws);
  if (options.json !== undefined) {
    const { rounds, size, store } = options;
    const whole = { machine: described, options: { rounds, size, store }, ...results };
    await writeFile(options.json, `${JSON.stringify(whole)}\n`);
  }
  return failed ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  tell(`bench: ${messageOf(error)}`);
  return 1;
});
