import { rm } from "node:fs/promises";
import { join } from "node:path";
import { etcdBackupPath } from "../test/harness/etcd-backup.ts";
import { measureSave } from "./etcd-backup-save.ts";
import { type Cost, inSequence, measure } from "./measure.ts";
import { median, medianCost } from "./medians.ts";
import { mebibytes, printTable, seconds, spread, log, times } from "./report.ts";
import { type Setting, scratchDirectory } from "./setting.ts";

const baseline = "aws s3 cp + etcdutl snapshot restore, three times";
const baselineCopy = "  aws s3 cp";
const zstdRow = "etcd-backup restore --all-members (zstd)";
const plainRow = "etcd-backup restore --all-members (none)";
const rowOrder = [baseline, baselineCopy, zstdRow, plainRow];
const aim = 1.2;

const names = ["m1", "m2", "m3"];
const initialCluster = names.map((name, i) => `${name}=http://10.0.0.${i + 1}:2380`).join(",");
const bump = ["--bump-revision=1000000000", "--mark-compacted"];

/** Measures the restore of three members from the store onto this host, with the usual tools and with etcd-backup. */
export async function benchRestore(setting: Setting): Promise<Record<string, Cost[]>> {
  const { aws, options } = setting;
  const candidates: [string, () => Promise<Record<string, Cost>>][] = [
    [zstdRow, async () => ({ [zstdRow]: await measureRestore(setting, "zstd") })],
    [plainRow, async () => ({ [plainRow]: await measureRestore(setting, "none") })],
  ];
  if ("path" in aws) candidates.unshift([baseline, () => restoreBaseline(setting, aws.path)]);
  else log(`restore: skipped ${baseline}, ${aws.missing}`);
  const samples: Record<string, Cost[]> = {};
  for (let round = 0; round <= options.rounds; round += 1) {
    for (const [name, run] of candidates) {
      log(`restore, ${round === 0 ? "warm-up" : `round ${round}`}: ${name}`);
      await setting.emptyStore();
      for (const [row, cost] of Object.entries(await run())) if (round > 0) (samples[row] ??= []).push(cost);
    }
  }
  report(setting, samples);
  return samples;
}

async function restoreBaseline(setting: Setting, aws: string): Promise<Record<string, Cost>> {
  const { s3, store, bucket, etcdutl } = setting;
  const directory = await scratchDirectory(setting, "baseline");
  const file = join(directory, "snapshot.db");
  const env = { TMPDIR: directory, HOME: directory, ...store.env, AWS_EC2_METADATA_DISABLED: "true" };
  const where = ["--no-progress", "--endpoint-url", s3.endpoint, "--region", s3.region];
  const object = `s3://${bucket}/snapshot.db`;
  await measure(aws, ["s3", "cp", await setting.snapshotFile(), object, ...where], { env });
  await setting.syncDisk();
  const copy = await measure(aws, ["s3", "cp", object, file, ...where], { env });
  const restores: Cost[] = [];
  for (const [i, name] of names.entries()) {
    const args = [
      "snapshot",
      "restore",
      file,
      `--name=${name}`,
      `--data-dir=${join(directory, name)}`,
      `--initial-cluster=${initialCluster}`,
      `--initial-advertise-peer-urls=http://10.0.0.${i + 1}:2380`,
      "--initial-cluster-token=bench",
      ...bump,
    ];
    restores.push(await measure(etcdutl, args));
  }
  await rm(directory, { recursive: true });
  return { [baseline]: inSequence([copy, ...restores]), [baselineCopy]: copy };
}

async function measureRestore(setting: Setting, compression: "zstd" | "none"): Promise<Cost> {
  await measureSave(setting, ["--compression", compression]);
  const directory = await scratchDirectory(setting, "restored");
  await setting.syncDisk();
  const from = ["--store", setting.store.url, "--cluster-name", "bench"];
  const into = ["--initial-cluster", initialCluster, "--data-dir-template", join(directory, "{name}")];
  const how = ["--all-members", "--etcdutl", setting.etcdutl, "--quiet"];
  const args = ["restore", "latest", ...from, ...into, ...how];
  const cost = await measure(etcdBackupPath, args, { env: setting.store.env });
  await rm(directory, { recursive: true });
  return cost;
}

function report({ options, etcd, s3 }: Setting, samples: Readonly<Record<string, Cost[]>>): void {
  const wall = (name: string) => median((samples[name] ?? []).map(({ wallSeconds }) => wallSeconds));
  const rows = rowOrder.flatMap((name) => {
    const rowSamples = samples[name];
    if (rowSamples === undefined) return [];
    const cost = medianCost(rowSamples);
    return [
      [
        name,
        spread(
          rowSamples.map(({ wallSeconds }) => wallSeconds),
          cost.wallSeconds,
        ),
        Number.isNaN(wall(baseline)) ? "-" : times(cost.wallSeconds / wall(baseline)),
        seconds(cost.userSeconds + cost.systemSeconds),
        mebibytes(cost.peakBytes),
        mebibytes(cost.writtenBytes),
      ],
    ];
  });
  printTable(
    `Restore: ${mebibytes(etcd.dbSize)} from ${s3.kind} into three members on one disk, medians of ${options.rounds} (lowest to highest)`,
    ["", "WALL", "OF BASELINE", "CPU", "PEAK", "WRITTEN TO DISK"],
    rows,
    [
      `aim: zstd at most ${times(aim)} of the baseline, everything verified; measured ${times(wall(zstdRow) / wall(baseline))}`,
      "etcdutl checks etcd's own SHA-256; etcd-backup also checks every digest of the manifest, the page structure and the status, and syncs all files",
    ],
  );
}
