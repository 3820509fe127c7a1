import { anchor, saveThenCopy } from "./anchor.ts";
import { measureSave } from "./etcd-backup-save.ts";
import { type Cost, cpuSecondsOf, inSequence } from "./measure.ts";
import { median, medianCost } from "./medians.ts";
import { mebibytes, printTable, seconds, spread, tell, times } from "./report.ts";
import type { Setting } from "./setting.ts";

/** One measured command, with what it made the servers do. */
export interface Sample extends Cost {
  etcdCpuSeconds: number;
  storeCpuSeconds: number;
}

interface Contender {
  name: string;
  /** Costs by the names of the rows they fill. */
  run: (setting: Setting) => Promise<Record<string, Cost>>;
}

const anchorSave = "  etcdctl snapshot save";
const anchorCopy = "  aws s3 cp";
const ours = "etcd-backup save (zstd)";
const oursPlain = "etcd-backup save (none)";
const rowOrder = [anchor, anchorSave, anchorCopy, ours, oursPlain];
const aims = { ofAnchor: 0.5, peakMiB: 200 };

/** A backup from etcd to the store, by etcd's and the store's own tools, and by ours. */
export async function benchSave(setting: Setting): Promise<Record<string, Sample[]>> {
  const { aws, options } = setting;
  const contenders: Contender[] = [
    ...("path" in aws ? [{ name: anchor, run: (s: Setting) => runAnchor(s, aws.path) }] : []),
    { name: ours, run: async (s) => ({ [ours]: await measureSave(s, ["--compression", "zstd"]) }) },
    {
      name: oursPlain,
      run: async (s) => ({ [oursPlain]: await measureSave(s, ["--compression", "none"]) }),
    },
  ];
  const samples: Record<string, Sample[]> = {};
  const leftOut = new Map<string, string>("path" in aws ? [] : [[anchor, aws.missing]]);
  for (let round = 0; round <= options.rounds; round += 1) {
    for (const contender of rotated(contenders, round).filter(({ name }) => !leftOut.has(name))) {
      tell(`save, ${round === 0 ? "warm-up" : `round ${round}`}: ${contender.name}`);
      const measured = await withServers(setting, contender).catch((error: unknown) => {
        leftOut.set(contender.name, error instanceof Error ? error.message : String(error));
        return undefined;
      });
      if (round === 0 || measured === undefined) continue;
      for (const [name, sample] of Object.entries(measured)) (samples[name] ??= []).push(sample);
    }
  }
  report(setting, samples, leftOut);
  return samples;
}

async function runAnchor(setting: Setting, aws: string): Promise<Record<string, Cost>> {
  const { save, copy } = await saveThenCopy(setting, aws);
  return { [anchor]: inSequence([save, copy]), [anchorSave]: save, [anchorCopy]: copy };
}

/** Another contender is first in every round. */
function rotated<T>(items: readonly T[], by: number): T[] {
  const start = by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

async function withServers(setting: Setting, contender: Contender): Promise<Record<string, Sample>> {
  await setting.settle();
  const cpu = async () => ({
    etcd: await cpuSecondsOf(setting.etcd.pid),
    store: await cpuSecondsOf(setting.s3.process.pid),
  });
  const before = await cpu();
  const costs = await contender.run(setting);
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
  leftOut: ReadonlyMap<string, string>,
): void {
  const wall = (name: string) => median((samples[name] ?? []).map((sample) => sample.wallSeconds));
  const rows = rowOrder.flatMap((name) => {
    const taken = samples[name];
    if (taken === undefined) return [];
    const cost = medianCost(taken);
    const isStep = name.startsWith(" ");
    const server = (of: (sample: Sample) => number) => (isStep ? "" : seconds(median(taken.map(of))));
    const walls = taken.map((sample) => sample.wallSeconds);
    return [
      [
        name,
        spread(walls, cost.wallSeconds),
        Number.isNaN(wall(anchor)) ? "-" : times(cost.wallSeconds / wall(anchor)),
        seconds(cost.userSeconds + cost.systemSeconds),
        server((sample) => sample.etcdCpuSeconds),
        server((sample) => sample.storeCpuSeconds),
        mebibytes(cost.peakBytes),
        mebibytes(cost.writtenBytes),
      ],
    ];
  });
  const peak = medianCost(samples[ours] ?? []).peakBytes;
  printTable(
    `Save: ${mebibytes(etcd.dbSize)} from etcd to ${s3.kind}${options.link === undefined ? "" : ` over ${options.link / 1e6} Mbit/s`}, medians of ${options.rounds} (lowest to highest)`,
    ["", "WALL", "OF ANCHOR", "CPU", "ETCD CPU", "STORE CPU", "PEAK", "WRITTEN TO DISK"],
    rows,
    [
      ...[...leftOut].map(([name, why]) => `${name}: left out, ${why.trim().replaceAll("\n", "\n    ")}`),
      `aim: zstd at most ${times(aims.ofAnchor)} of ${anchor}; measured ${times(wall(ours) / wall(anchor))}`,
      `aim: peak at most ${aims.peakMiB} MiB; measured ${mebibytes(peak)}`,
    ],
  );
}
