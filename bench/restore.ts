import { rm } from "node:fs/promises";
import { join } from "node:path";
import { etcdBackupPath } from "../test/harness/etcd-backup.ts";
import { measureSave } from "./etcd-backup-save.ts";
import { type Cost, inSequence, measure } from "./measure.ts";
import { median, medianCost } from "./medians.ts";
import { mebibytes, printTable, seconds, spread, tell, times } from "./report.ts";
import { type Setting, scratchDirectory } from "./setting.ts";

const byHand = "aws s3 cp + etcdutl snapshot restore, three times";
const copying = "  aws s3 cp";
const ours = "etcd-backup restore --all-members (zstd)";
const oursPlain = "etcd-backup restore --all-members (none)";
const rowOrder = [byHand, copying, ours, oursPlain];
const aim = 1.2;

const names = ["m1", "m2", "m3"];
const initialCluster = names.map((name, i) => `${name}=http://10.0.0.${i + 1}:2380`).join(",");
const bump = ["--bump-revision=1000000000", "--mark-compacted"];

/** Three members of a new cluster on this host, from the store: by etcd's and the store's own tools, and by ours. */
export async function benchRestore(setting: Setting): Promise<Record<string, Cost[]>> {
  const { aws, options } = setting;
  if (!("path" in aws)) tell(`restore: without ${byHand}, ${aws.missing}`);
  const contenders: [string, () => Promise<Record<string, Cost>>][] = [
    ...("path" in aws
      ? [[byHand, () => restoreByHand(setting, aws.path)] as [string, () => Promise<Record<string, Cost>>]]
      : []),
    [ours, async () => ({ [ours]: await restoreOurs(setting, "zstd") })],
    [oursPlain, async () => ({ [oursPlain]: await restoreOurs(setting, "none") })],
  ];
  const samples: Record<string, Cost[]> = {};
  for (let round = 0; round <= options.rounds; round += 1) {
    for (const [name, run] of contenders) {
      tell(`restore, ${round === 0 ? "warm-up" : `round ${round}`}: ${name}`);
      await setting.settle();
      for (const [row, cost] of Object.entries(await run())) if (round > 0) (samples[row] ??= []).push(cost);
    }
  }
  report(setting, samples);
  return samples;
}

async function restoreByHand(setting: Setting, aws: string): Promise<Record<string, Cost>> {
  const { s3, store, bucket, etcdutl } = setting;
  const directory = await scratchDirectory(setting, "by-hand");
  const file = join(directory, "snapshot.db");
  const env = { TMPDIR: directory, HOME: directory, ...store.env, AWS_EC2_METADATA_DISABLED: "true" };
  const where = ["--no-progress", "--endpoint-url", s3.endpoint, "--region", s3.region];
  const object = `s3://${bucket}/snapshot.db`;
  await measure(aws, ["s3", "cp", await setting.snapshotFile(), object, ...where], { env });
  await setting.settleDisk();
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
  return { [byHand]: inSequence([copy, ...restores]), [copying]: copy };
}

async function restoreOurs(setting: Setting, compression: "zstd" | "none"): Promise<Cost> {
  await measureSave(setting, ["--compression", compression]);
  const directory = await scratchDirectory(setting, "restored");
  await setting.settleDisk();
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
    const taken = samples[name];
    if (taken === undefined) return [];
    const cost = medianCost(taken);
    return [
      [
        name,
        spread(
          taken.map(({ wallSeconds }) => wallSeconds),
          cost.wallSeconds,
        ),
        Number.isNaN(wall(byHand)) ? "-" : times(cost.wallSeconds / wall(byHand)),
        seconds(cost.userSeconds + cost.systemSeconds),
        mebibytes(cost.peakBytes),
        mebibytes(cost.writtenBytes),
      ],
    ];
  });
  printTable(
    `Restore: ${mebibytes(etcd.dbSize)} from ${s3.kind} into three members on one disk, medians of ${options.rounds} (lowest to highest)`,
    ["", "WALL", "BY HAND", "CPU", "PEAK", "WRITTEN TO DISK"],
    rows,
    [
      `aim: zstd at most ${times(aim)} of by hand, everything verified; measured ${times(wall(ours) / wall(byHand))}`,
      "etcdutl checks etcd's own SHA-256; ours also every digest of the manifest, the page structure and the status, and syncs all of it",
    ],
  );
}
