import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { cleanEnvironment } from "../test/harness/environment.ts";
import { killAtExit } from "../test/harness/exit-cleanup.ts";
import { anchor, saveThenCopy } from "./anchor.ts";
import { maxRateMissing, measureSave } from "./etcd-backup-save.ts";
import { measure } from "./measure.ts";
import { median, percentile } from "./medians.ts";
import { milliseconds, printTable, seconds, tell, times } from "./report.ts";
import { type Setting, scratchDirectory } from "./setting.ts";

interface Load {
  name: string;
  run: () => Promise<unknown>;
}

export interface LatencySamples {
  /** Of each put that was sent while it ran, in all rounds, in milliseconds. */
  puts: number[];
  /** How long it ran in each round. */
  seconds: number[];
}

const putsPerSecond = 200;
const idleMs = 5000;
const settleMs = 1000;

/** How long a put takes for another client of etcd while a backup is read from it. */
export async function benchLatency(setting: Setting): Promise<Record<string, LatencySamples>> {
  const { options } = setting;
  const missing = await maxRateMissing();
  const loads = await loadsOf(setting, missing === undefined);
  const windows: { name: string; from: number; to: number }[] = [];
  await using writer = startWriter(setting.etcd.endpoint);
  await delay(settleMs);
  for (let round = 0; round <= options.rounds; round += 1) {
    for (const load of loads) {
      tell(`latency, ${round === 0 ? "warm-up" : `round ${round}`}: ${load.name}`);
      await setting.settle();
      await delay(settleMs);
      const from = Date.now();
      await load.run();
      if (round > 0) windows.push({ name: load.name, from, to: Date.now() });
    }
    writer.check();
  }
  // The slowest answers, which matter most, are still on their way.
  await delay(2 * settleMs);
  const samples: Record<string, LatencySamples> = {};
  for (const { name, from, to } of windows) {
    const taken = (samples[name] ??= { puts: [], seconds: [] });
    for (const { sentAt, took } of writer.puts) if (sentAt >= from && sentAt < to) taken.puts.push(took);
    taken.seconds.push((to - from) / 1000);
  }
  report(setting, samples, missing);
  return samples;
}

async function loadsOf(setting: Setting, withMaxRate: boolean): Promise<Load[]> {
  const { etcdctl, etcd, options, aws } = setting;
  const file = join(await scratchDirectory(setting, "latency"), "snapshot.db");
  const saveArgs = ["--endpoints", etcd.endpoint, "snapshot", "save", file];
  const throttled: Load = {
    name: `etcd-backup save --max-rate ${options.maxRate}`,
    run: () => measureSave(setting, ["--max-rate", options.maxRate]),
  };
  return [
    { name: "idle", run: () => delay(idleMs) },
    { name: "etcdctl snapshot save", run: () => measure(etcdctl, saveArgs) },
    ...("path" in aws ? [{ name: anchor, run: () => saveThenCopy(setting, aws.path) }] : []),
    { name: "etcd-backup save (zstd)", run: () => measureSave(setting, []) },
    ...(withMaxRate ? [throttled] : []),
  ];
}

interface Writer extends AsyncDisposable {
  readonly puts: readonly { sentAt: number; took: number }[];
  /** Throws when it has ended. */
  check(): void;
}

function startWriter(endpoint: string): Writer {
  const script = join(import.meta.dirname, "writer.ts");
  const child = spawn(process.execPath, [script, endpoint, String(putsPerSecond)], {
    env: cleanEnvironment(),
    stdio: ["ignore", "pipe", "inherit"],
  });
  const registration = killAtExit(child.pid ?? 0);
  const ended = once(child, "close");
  const puts: { sentAt: number; took: number }[] = [];
  const collecting = (async () => {
    for await (const line of createInterface({ input: child.stdout })) {
      const [sentAt = Number.NaN, took = Number.NaN] = line.split(" ").map(Number);
      puts.push({ sentAt, took });
    }
  })();
  return {
    puts,
    check() {
      if (child.exitCode !== null) throw new Error(`the writer ended with exit code ${child.exitCode}`);
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await Promise.all([ended, collecting]);
      registration[Symbol.dispose]();
    },
  };
}

function report(
  { options }: Setting,
  samples: Readonly<Record<string, LatencySamples>>,
  missing: string | undefined,
): void {
  const idle = percentile(samples["idle"]?.puts ?? [], 0.99);
  const rows = Object.entries(samples).map(([name, taken]) => [
    name,
    String(taken.puts.length),
    milliseconds(percentile(taken.puts, 0.5)),
    milliseconds(percentile(taken.puts, 0.99)),
    milliseconds(Math.max(...taken.puts)),
    times(percentile(taken.puts, 0.99) / idle),
    seconds(median(taken.seconds)),
  ]);
  printTable(
    `Puts of another client (${putsPerSecond} a second, 1 kB, synced), of ${options.rounds} rounds together`,
    ["", "PUTS", "P50", "P99", "HIGHEST", "P99 OF IDLE", "TOOK"],
    rows,
    missing === undefined ? [] : [`--max-rate: left out, ${missing}`],
  );
}
