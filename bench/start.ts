import { join } from "node:path";
import { etcdBackupPath } from "../test/harness/etcd-backup.ts";
import { startEtcd } from "../test/harness/etcd-cluster.ts";
import { binary } from "../test/harness/binaries.ts";
import { tempDir } from "../test/harness/process.ts";
import { type Cost, measure } from "./measure.ts";
import { medianCost } from "./medians.ts";
import { mebibytes, printTable, seconds, spread, log } from "./report.ts";

const repetitions = 10;
const aimSeconds = 0.3;

/** Measures how long the program takes to start. */
export async function benchStart(): Promise<Record<string, Cost[]>> {
  await using directory = await tempDir("bench-start");
  const file = join(directory.path, "small.db");
  {
    await using etcd = await startEtcd();
    await etcd.etcdctl(["snapshot", "save", file]);
  }
  const etcdutl = await binary("etcdutl");
  const commands: Record<string, [command: string, ...args: string[]]> = {
    "etcd-backup --version": [etcdBackupPath, "--version"],
    "etcd-backup status small.db": [etcdBackupPath, "status", file],
    "etcdutl snapshot status small.db": [etcdutl, "snapshot", "status", file],
    "node --eval ''": [process.execPath, "--eval", ""],
  };
  const samples: Record<string, Cost[]> = {};
  log("start");
  for (let round = 0; round <= repetitions; round += 1) {
    for (const [name, [command, ...args]] of Object.entries(commands)) {
      const measured = await measure(command, args);
      if (round > 0) (samples[name] ??= []).push(measured);
    }
  }
  const rows = Object.entries(samples).map(([name, commandSamples]) => {
    const cost = medianCost(commandSamples);
    const walls = commandSamples.map((sample) => sample.wallSeconds);
    return [
      name,
      spread(walls, cost.wallSeconds),
      seconds(cost.userSeconds + cost.systemSeconds),
      mebibytes(cost.peakBytes),
    ];
  });
  printTable(`Start, medians of ${repetitions} (lowest to highest)`, ["", "WALL", "CPU", "PEAK"], rows, [
    `aim: etcd-backup starts within ${seconds(aimSeconds)}`,
  ]);
  return samples;
}
