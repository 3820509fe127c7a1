import type { Context, GlobalFlags } from "./context.ts";
import { bytes, duration } from "../core/human.ts";

/** What a running command says on stderr: one live line for a person's terminal, plain lines for a pipe. */
export interface Progress extends Disposable {
  /** A line that stays. */
  say(line: string): void;
  /** How far the work has come, in bytes. `total` may be unknown (0). */
  update(label: string, done: number, total: number): void;
}

const redrawEvery = 100;
const plainLineEvery = 10_000;

export function progress(context: Context, flags: GlobalFlags): Progress {
  if (flags.quiet === true || flags.logLevel === "error")
    return { say: () => {}, update: () => {}, [Symbol.dispose]: () => {} };
  const { stderr, now } = context;
  const live = stderr.isTTY === true && context.env["TERM"] !== "dumb";
  const started = new Map<string, number>();
  let last = 0;
  let drawn = false;

  const clear = () => {
    if (drawn) stderr.write("\r\u001b[K");
    drawn = false;
  };
  return {
    say(line) {
      clear();
      stderr.write(`${line}\n`);
    },
    update(label, done, total) {
      const at = now().getTime();
      const begin = started.get(label);
      if (begin === undefined) {
        started.set(label, at);
        last = live ? 0 : at;
      }
      if (at - last < (live ? redrawEvery : plainLineEvery)) return;
      last = at;
      const line = progressLine(label, done, total, at - (begin ?? at));
      if (live) stderr.write(`\r\u001b[K${line.slice(0, (stderr.columns || 80) - 1)}`);
      else stderr.write(`${line}\n`);
      drawn = live;
    },
    [Symbol.dispose]: clear,
  };
}

/** `snapshot   45%  512 MB of 1.1 GB  210 MB/s  2.8s left` */
export function progressLine(label: string, done: number, total: number, elapsedMs: number): string {
  const rate = elapsedMs > 0 ? (done / elapsedMs) * 1000 : 0;
  const speed = elapsedMs >= 500 ? `  ${bytes(Math.round(rate))}/s` : "";
  if (total <= 0) return `${label}  ${bytes(done)}${speed}`;
  const left =
    elapsedMs >= 500 && rate > 0 && done < total ? `  ${duration(((total - done) / rate) * 1000)} left` : "";
  return `${label}  ${String(Math.floor((done / total) * 100)).padStart(3)}%  ${bytes(done)} of ${bytes(total)}${speed}${left}`;
}
