import type { Context, GlobalFlags } from "./context.ts";
import { bytes, duration } from "../core/human.ts";

/** Progress on stderr: one line that is redrawn on a terminal, whole lines in a pipe. Disposing clears the redrawn line. */
export interface Progress extends Disposable {
  /** Prints a line that stays. */
  printLine(line: string): void;
  /** Reports bytes done of a total, which may be unknown (0). Draws at most every 100 ms, in a pipe every 10 s. */
  update(label: string, done: number, total: number): void;
}

const redrawMs = 100;
const pipeLineMs = 10_000;

export function progress(context: Context, flags: GlobalFlags): Progress {
  if (flags.quiet === true || flags.logLevel === "error")
    return { printLine: () => {}, update: () => {}, [Symbol.dispose]: () => {} };
  const { stderr, now } = context;
  const isLive = stderr.isTTY === true && context.env["TERM"] !== "dumb";
  const startedAt = new Map<string, number>();
  let printedAt = 0;
  let isDrawn = false;

  const clear = () => {
    if (isDrawn) stderr.write("\r\u001b[K");
    isDrawn = false;
  };
  return {
    printLine(line) {
      clear();
      stderr.write(`${line}\n`);
    },
    update(label, done, total) {
      const at = now().getTime();
      const start = startedAt.get(label);
      if (start === undefined) {
        startedAt.set(label, at);
        printedAt = isLive ? 0 : at;
      }
      if (at - printedAt < (isLive ? redrawMs : pipeLineMs)) return;
      printedAt = at;
      const line = progressLine(label, done, total, at - (start ?? at));
      if (isLive) stderr.write(`\r\u001b[K${line.slice(0, (stderr.columns || 80) - 1)}`);
      else stderr.write(`${line}\n`);
      isDrawn = isLive;
    },
    [Symbol.dispose]: clear,
  };
}

/** `snapshot   45%  512 MB of 1.1 GB  210 MB/s  2.8s left`; rate and rest only after half a second. */
function progressLine(label: string, done: number, total: number, elapsedMs: number): string {
  const rate = elapsedMs > 0 ? (done / elapsedMs) * 1000 : 0;
  const speed = elapsedMs >= 500 ? `  ${bytes(Math.round(rate))}/s` : "";
  if (total <= 0) return `${label}  ${bytes(done)}${speed}`;
  const left =
    elapsedMs >= 500 && rate > 0 && done < total ? `  ${duration(((total - done) / rate) * 1000)} left` : "";
  return `${label}  ${String(Math.floor((done / total) * 100)).padStart(3)}%  ${bytes(done)} of ${bytes(total)}${speed}${left}`;
}
