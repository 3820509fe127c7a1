import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { cleanEnvironment } from "../test/harness/environment.ts";
import { killAtExit } from "../test/harness/exit-cleanup.ts";
import { baseline, saveThenCopy } from "./baseline.ts";
import { maxRateMissing, measureSave } from "./etcd-backup-save.ts";
import { measure } from "./measure.ts";
import { median, percentile } from "./medians.ts";
import { milliseconds, printTable, seconds, log, times } from "./report.ts";
import { type Setting, scratchDirectory } from "./setting.ts";

interface Load {
  name: string;
  run: () => Promise<unknown>;
}

export interface LatencySamples {
  /** Milliseconds of each put that was sent while the load ran, over all rounds. */
  puts: number[];
  /** Duration of the load in each round. */
  seconds: number[];
}

const putsPerSecond = 200;
const idleMs = 5000;
const pauseMs = 1000;

/** Measures the puts of another client while etcd is idle and while a backup reads from it. */
export async function benchLatency(setting: Setting): Promise<Record<string, LatencySamples>> {
  const { options } = setting;
  const missing = await maxRateMissing();
  const loads = await loadsOf(setting, missing === undefined);
  const windows: { name: string; from: number; to: number }[] = [];
  await using writer = startWriter(setting.etcd.endpoint);
  await delay(pauseMs);
  for (let round = 0; round <= options.rounds; round += 1) {
    for (const load of loads) {
      log(`latency, ${round === 0 ? "warm-up" : `round ${round}`}: ${load.name}`);
      await setting.emptyStore();
      await delay(pauseMs);
      const from = Date.now();
      await load.run();
      if (round > 0) windows.push({ name: load.name, from, to: Date.now() });
    }
    writer.check();
  }
  // Wait for the slowest answers, which matter most.
  await delay(2 * pauseMs);
  const samples: Record<string, LatencySamples> = {};
  for (const { name, from, to } of windows) {
    const sample = (samples[name] ??= { puts: [], seconds: [] });
    for (const { sentAt, took } of writer.puts) if (sentAt >= from && sentAt < to) sample.puts.push(took);
    sample.seconds.push((to - from) / 1000);
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
    ...("path" in aws ? [{ name: baseline, run: () => saveThenCopy(setting, aws.path) }] : []),
    { name: "etcd-backup save (zstd)", run: () => measureSave(setting, []) },
    ...(withMaxRate ? [throttled] : []),
  ];
}

interface Writer extends AsyncDisposable {
  readonly puts: readonly { sentAt: number; took: number }[];
  /** Throws if the writer process has ended. */
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
      if (child.exitCode !== null)
        throw new Error(`the writer process ended with exit code ${child.exitCode}`);
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
  const rows = Object.entries(samples).map(([name, sample]) => [
    name,
    String(sample.puts.length),
    milliseconds(percentile(sample.puts, 0.5)),
    milliseconds(percentile(sample.puts, 0.99)),
    milliseconds(Math.max(...sample.puts)),
    times(percentile(sample.puts, 0.99) / idle),
    seconds(median(sample.seconds)),
  ]);
  printTable(
    `Puts of another client (${putsPerSecond} a second, 1 kB, synced), all ${options.rounds} rounds`,
    ["", "PUTS", "P50", "P99", "HIGHEST", "P99 OF IDLE", "TOOK"],
    rows,
    missing === undefined ? [] : [`--max-rate: skipped, ${missing}`],
  );
}
