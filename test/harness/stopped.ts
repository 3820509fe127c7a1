import { readdirSync, readFileSync } from "node:fs";

/**
 * Returns when every thread of the process is stopped, after a second at the latest. SIGSTOP only asks: on a
 * busy machine a thread may still answer a request that came after it. Returns at once where there is no /proc.
 */
export function untilStopped(pid: number): void {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (let millisecond = 0; millisecond < 1000 && !isStopped(pid); millisecond += 1) {
    Atomics.wait(sleeper, 0, 0, 1);
  }
}

function isStopped(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) => {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8");
      // The command's name, in parentheses, may hold anything: the state follows its end.
      return stat.slice(stat.lastIndexOf(")") + 2).startsWith("T");
    });
  } catch (error) {
    // No /proc, or the process ended: nothing to wait for. A thread that ended in between: look again.
    return !(error instanceof Error && "syscall" in error && error.syscall === "open");
  }
}
