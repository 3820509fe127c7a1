import { etcdBackupPath } from "../test/harness/etcd-backup.ts";
import { type Cost, measure } from "./measure.ts";
import { median, medianCost } from "./medians.ts";
import { bringIntoMemory, dropFromMemory } from "./page-cache.ts";
import { mebibytes, printTable, rate, seconds, spread, log, times } from "./report.ts";
import type { Setting } from "./setting.ts";

const programs = ["etcdutl snapshot status", "etcd-backup status"] as const;
const temperatures = ["warm", "cold"] as const;
const aims = { warm: 1, cold: 5 };

type Program = (typeof programs)[number];
type Temperature = (typeof temperatures)[number];

/** Measures the status of a saved file with etcdutl and with etcd-backup, from the page cache and from the disk. */
export async function benchStatus(setting: Setting): Promise<Record<string, Cost[]>> {
  const file = await setting.snapshotFile();
  const commands: Record<Program, () => Promise<Cost>> = {
    "etcdutl snapshot status": () => measure(setting.etcdutl, ["snapshot", "status", file]),
    "etcd-backup status": () => measure(etcdBackupPath, ["status", file]),
  };
  const prepare = { warm: bringIntoMemory, cold: dropFromMemory };
  const coldMissing = await dropFromMemory(file).then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  const samples: Record<string, Cost[]> = {};
  for (let round = 0; round <= setting.options.rounds; round += 1) {
    for (const temperature of coldMissing === undefined ? temperatures : (["warm"] as const)) {
      for (const program of round % 2 === 0 ? programs : programs.toReversed()) {
        log(`status, ${round === 0 ? "warm-up" : `round ${round}`}, ${temperature}: ${program}`);
        await prepare[temperature](file);
        const cost = await commands[program]();
        if (round > 0) (samples[rowName(program, temperature)] ??= []).push(cost);
      }
    }
  }
  report(setting, samples, coldMissing);
  return samples;
}

function rowName(program: Program, temperature: Temperature): string {
  return `${program}, ${temperature}`;
}

function report(
  { etcd, options }: Setting,
  samples: Readonly<Record<string, Cost[]>>,
  coldMissing: string | undefined,
): void {
  const wall = (program: Program, temperature: Temperature) =>
    median((samples[rowName(program, temperature)] ?? []).map((cost) => cost.wallSeconds));
  const rows = temperatures
    .flatMap((temperature) => programs.map((program) => rowName(program, temperature)))
    .flatMap((name) => {
      const rowSamples = samples[name];
      if (rowSamples === undefined) return [];
      const cost = medianCost(rowSamples);
      const walls = rowSamples.map((sample) => sample.wallSeconds);
      const cpu = seconds(cost.userSeconds + cost.systemSeconds);
      const speed = rate(etcd.dbSize, cost.wallSeconds);
      return [[name, spread(walls, cost.wallSeconds), speed, cpu, mebibytes(cost.peakBytes)]];
    });
  printTable(
    `Status of a file of ${mebibytes(etcd.dbSize)}, medians of ${options.rounds} (lowest to highest)`,
    ["", "WALL", "RATE", "CPU", "PEAK"],
    rows,
    [
      ...(coldMissing === undefined ? [] : [`cold: skipped, ${coldMissing}`]),
      ...temperatures.map((temperature) => {
        const faster = wall("etcdutl snapshot status", temperature) / wall("etcd-backup status", temperature);
        return `aim: ${temperature}, at least ${times(aims[temperature])} as fast as etcdutl; measured ${times(faster)}`;
      }),
      "etcdutl maps the file, so its peak includes pages of the page cache. It checks neither page structure nor SHA-256.",
    ],
  );
}
