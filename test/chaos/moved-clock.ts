/**
 * Loaded into an operator before its own code: `Date` tells the time by a clock that is ahead by the milliseconds in a
 * file. Timers and `performance.now` follow the monotonic clock and do not change, as when the clock of a machine is set.
 */
import { readFileSync } from "node:fs";

const file = process.env["CHAOS_CLOCK_FILE"] ?? "";
const lookEveryMs = 200;

let aheadMs = 0;
function look(): void {
  try {
    aheadMs = Number(readFileSync(file, "utf8"));
  } catch {
    // The clock was never set.
  }
}
look();
setInterval(look, lookEveryMs).unref();

const machine = Date;
const now = () => machine.now() + aheadMs;
globalThis.Date = new Proxy(machine, {
  construct: (target, args: unknown[], newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as Date,
  get: (target, name, receiver): unknown => (name === "now" ? now : Reflect.get(target, name, receiver)),
});
