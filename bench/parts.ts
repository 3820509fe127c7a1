import { glob } from "node:fs/promises";
import { join } from "node:path";
import { etcdBackup } from "../test/harness/etcd-backup.ts";
import { saveArguments } from "./etcd-backup-save.ts";
import { measureWithOutput } from "./measure.ts";
import { median } from "./medians.ts";
import type { PartResult } from "./part.ts";
import { bringIntoMemory } from "./page-cache.ts";
import { mebibytes, percent, printTable, rate, seconds, log } from "./report.ts";
import { type Setting, scratchDirectory } from "./setting.ts";

type Sample = PartResult & { peakBytes: number };

/** Measures each part of a save alone, in its own process. The slowest part limits the save; their CPU times add up. */
export async function benchParts(setting: Setting): Promise<Record<string, Sample[]>> {
  const file = await setting.snapshotFile();
  const compressed = await compressedFile(setting);
  const parts: Record<string, [part: string, input: string]> = {
    "etcd's stream, received and dropped": ["stream", setting.etcd.endpoint],
    "reading the file (included below)": ["read", file],
    "SHA-256": ["sha256", file],
    "CRC-32C": ["crc32c", file],
    "status reader": ["status", file],
    "SHA-256, CRC-32C and status reader together": ["checks", file],
    "zstd level 1": ["zstd", file],
    "upload, plain": ["upload", file],
    "upload, compressed": ["upload", compressed],
  };
  const samples: Record<string, Sample[]> = {};
  for (let round = 0; round <= setting.options.rounds; round += 1) {
    for (const [name, [part, input]] of Object.entries(parts)) {
      log(`parts, ${round === 0 ? "warm-up" : `round ${round}`}: ${name}`);
      await setting.emptyStore();
      if (part !== "stream") await bringIntoMemory(input);
      const env = { ...setting.store.env, PART_STORE: setting.store.url };
      const script = join(import.meta.dirname, "part.ts");
      const { cost, stdout } = await measureWithOutput(process.execPath, [script, part, input], { env });
      const result = JSON.parse(stdout) as PartResult;
      if (round > 0) (samples[name] ??= []).push({ ...result, peakBytes: cost.peakBytes });
    }
  }
  report(setting, samples);
  return samples;
}

/** The object that a save with zstd puts into the store. */
async function compressedFile(setting: Setting): Promise<string> {
  const directory = await scratchDirectory(setting, "compressed");
  const args = saveArguments({ ...setting, store: { url: `file://${directory}`, env: {} } });
  const saved = await etcdBackup(args);
  if (saved.code !== 0) throw new Error(`etcd-backup save: ${saved.stderr}`);
  for await (const path of glob(join(directory, "**/*.zst"))) return path;
  throw new Error("etcd-backup save left no .zst");
}

function report({ options, etcd }: Setting, samples: Readonly<Record<string, Sample[]>>): void {
  const rows = Object.entries(samples).map(([name, partSamples]) => {
    const of = (pick: (sample: Sample) => number) => median(partSamples.map(pick));
    const wall = of((sample) => sample.seconds);
    const bytes = of((sample) => sample.bytes);
    const cpu = of((sample) => sample.cpuSeconds);
    return [
      name,
      mebibytes(bytes),
      seconds(wall),
      rate(bytes, wall),
      seconds(cpu),
      percent(cpu / wall),
      mebibytes(of((sample) => sample.peakBytes)),
    ];
  });
  printTable(
    `Parts of a save of ${mebibytes(etcd.dbSize)}, each alone, medians of ${options.rounds}, without the start of the process`,
    ["", "BYTES IN", "WALL", "RATE", "CPU", "OF ONE CORE", "PEAK"],
    rows,
    ["CPU is the client's. The save table shows the CPU of etcd and the store."],
  );
}
