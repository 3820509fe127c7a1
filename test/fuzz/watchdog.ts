import { Worker } from "node:worker_threads";

const code = `
const { workerData: { words, limitMs } } = require("node:worker_threads");
const { writeSync } = require("node:fs");
let last = -1, since = Date.now();
setInterval(() => {
  const turn = Atomics.load(words, 0);
  if (turn !== last) { last = turn; since = Date.now(); }
  else if (Date.now() - since > limitMs) {
    writeSync(2, "HANG: still running after " + limitMs + " ms: target number " + words[1] + ", seed " + (words[2] * 65536 + words[3]) + "\\n");
    process.kill(process.pid, "SIGKILL");
  }
}, 500).unref();
setInterval(() => {}, 1e6);
`;

/** Kills the process and prints the seed when one input takes longer than `limitMs`. Runs in a thread, since a hang blocks the main thread. */
export function startWatchdog(limitMs: number): Disposable & { see(target: number, seed: number): void } {
  const words = new Int32Array(new SharedArrayBuffer(16));
  const worker = new Worker(code, { eval: true, workerData: { words, limitMs } });
  worker.unref();
  return {
    see(target, seed) {
      words[1] = target;
      words[2] = Math.floor(seed / 65536);
      words[3] = seed % 65536;
      Atomics.add(words, 0, 1);
    },
    [Symbol.dispose]() {
      void worker.terminate();
    },
  };
}
