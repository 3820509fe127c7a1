import { readdirSync, readFileSync } from "node:fs";

/**
 * Blocks until every thread of the process is stopped, at most one second. SIGSTOP takes effect later than it is sent: on a
 * busy machine a thread may still answer a request meanwhile. Returns at once on systems without /proc.
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
      // The command's name, in parentheses, may hold any character: the state follows the last parenthesis.
      return stat.slice(stat.lastIndexOf(")") + 2).startsWith("T");
    });
  } catch (error) {
    // Without /proc or after the end of the process, `readdirSync` fails. `readFileSync` fails if a thread ended meanwhile.
    return !(error instanceof Error && "syscall" in error && error.syscall === "open");
  }
}
