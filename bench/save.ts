import { baseline, saveThenCopy } from "./baseline.ts";
import { measureSave } from "./etcd-backup-save.ts";
import { type Cost, cpuSecondsOf, inSequence } from "./measure.ts";
import { median, medianCost } from "./medians.ts";
import { mebibytes, printTable, seconds, spread, log, times } from "./report.ts";
import type { Setting } from "./setting.ts";

/** The cost of one measured command, and of the servers meanwhile. */
export interface Sample extends Cost {
  etcdCpuSeconds: number;
  storeCpuSeconds: number;
}

interface Candidate {
  name: string;
  /** Costs by the name of their table row. */
  run: (setting: Setting) => Promise<Record<string, Cost>>;
}

const baselineSave = "  etcdctl snapshot save";
const baselineCopy = "  aws s3 cp";
const zstdRow = "etcd-backup save (zstd)";
const plainRow = "etcd-backup save (none)";
const rowOrder = [baseline, baselineSave, baselineCopy, zstdRow, plainRow];
const aims = { ofBaseline: 0.5, peakMiB: 200 };

/** Measures a backup from etcd to the store with the usual tools and with etcd-backup. */
export async function benchSave(setting: Setting): Promise<Record<string, Sample[]>> {
  const { aws, options } = setting;
  const candidates: Candidate[] = [
    ...("path" in aws ? [{ name: baseline, run: (s: Setting) => runBaseline(s, aws.path) }] : []),
    { name: zstdRow, run: async (s) => ({ [zstdRow]: await measureSave(s, ["--compression", "zstd"]) }) },
    {
      name: plainRow,
      run: async (s) => ({ [plainRow]: await measureSave(s, ["--compression", "none"]) }),
    },
  ];
  const samples: Record<string, Sample[]> = {};
  const skipped = new Map<string, string>("path" in aws ? [] : [[baseline, aws.missing]]);
  for (let round = 0; round <= options.rounds; round += 1) {
    for (const candidate of rotated(candidates, round).filter(({ name }) => !skipped.has(name))) {
      log(`save, ${round === 0 ? "warm-up" : `round ${round}`}: ${candidate.name}`);
      const measured = await measureWithServers(setting, candidate).catch((error: unknown) => {
        skipped.set(candidate.name, error instanceof Error ? error.message : String(error));
        return undefined;
      });
      if (round === 0 || measured === undefined) continue;
      for (const [name, sample] of Object.entries(measured)) (samples[name] ??= []).push(sample);
    }
  }
  report(setting, samples, skipped);
  return samples;
}

async function runBaseline(setting: Setting, aws: string): Promise<Record<string, Cost>> {
  const { save, copy } = await saveThenCopy(setting, aws);
  return { [baseline]: inSequence([save, copy]), [baselineSave]: save, [baselineCopy]: copy };
}

/** Rotates the items, so that another candidate is first in each round. */
function rotated<T>(items: readonly T[], by: number): T[] {
  const start = by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

async function measureWithServers(setting: Setting, candidate: Candidate): Promise<Record<string, Sample>> {
  await setting.emptyStore();
  const cpu = async () => ({
    etcd: await cpuSecondsOf(setting.etcd.pid),
    store: await cpuSecondsOf(setting.s3.process.pid),
  });
  const before = await cpu();
  const costs = await candidate.run(setting);
  const after = await cpu();
  const servers = {
    etcdCpuSeconds: after.etcd - before.etcd,
    storeCpuSeconds: after.store - before.store,
  };
  return Object.fromEntries(Object.entries(costs).map(([name, cost]) => [name, { ...cost, ...servers }]));
}

function report(
  { options, etcd, s3 }: Setting,
  samples: Readonly<Record<string, Sample[]>>,
  skipped: ReadonlyMap<string, string>,
): void {
  const wall = (name: string) => median((samples[name] ?? []).map((sample) => sample.wallSeconds));
  const rows = rowOrder.flatMap((name) => {
    const rowSamples = samples[name];
    if (rowSamples === undefined) return [];
    const cost = medianCost(rowSamples);
    const isStep = name.startsWith(" ");
    const server = (of: (sample: Sample) => number) => (isStep ? "" : seconds(median(rowSamples.map(of))));
    const walls = rowSamples.map((sample) => sample.wallSeconds);
    return [
      [
        name,
        spread(walls, cost.wallSeconds),
        Number.isNaN(wall(baseline)) ? "-" : times(cost.wallSeconds / wall(baseline)),
        seconds(cost.userSeconds + cost.systemSeconds),
        server((sample) => sample.etcdCpuSeconds),
        server((sample) => sample.storeCpuSeconds),
        mebibytes(cost.peakBytes),
        mebibytes(cost.writtenBytes),
      ],
    ];
  });
  const peak = medianCost(samples[zstdRow] ?? []).peakBytes;
  printTable(
    `Save: ${mebibytes(etcd.dbSize)} from etcd to ${s3.kind}${options.link === undefined ? "" : ` over ${options.link / 1e6} Mbit/s`}, medians of ${options.rounds} (lowest to highest)`,
    ["", "WALL", "OF BASELINE", "CPU", "ETCD CPU", "STORE CPU", "PEAK", "WRITTEN TO DISK"],
    rows,
    [
      ...[...skipped].map(([name, why]) => `${name}: skipped, ${why.trim().replaceAll("\n", "\n    ")}`),
      `aim: zstd at most ${times(aims.ofBaseline)} of ${baseline}; measured ${times(wall(zstdRow) / wall(baseline))}`,
      `aim: peak at most ${aims.peakMiB} MiB; measured ${mebibytes(peak)}`,
    ],
  );
}
