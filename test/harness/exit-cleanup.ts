import { rmSync } from "node:fs";

/** Pids to kill and paths to remove when the test process ends, for any reason but SIGKILL. */
const pids = new Set<number>();
const paths = new Set<string>();
let installed = false;

export function killAtExit(pid: number): Disposable {
  install();
  pids.add(pid);
  return { [Symbol.dispose]: () => void pids.delete(pid) };
}

export function removeAtExit(path: string): Disposable {
  install();
  paths.add(path);
  return { [Symbol.dispose]: () => void paths.delete(path) };
}

function cleanUp(): void {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // The process ended meanwhile.
    }
  }
  pids.clear();
  for (const path of paths) {
    try {
      rmSync(path, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 });
    } catch {
      // A child that is ending may still write to it. At exit nothing more can be done.
    }
  }
  paths.clear();
}

/** A signal handler disables the default action. So end the process by the same signal, unless another handler exists. */
function onSignal(signal: NodeJS.Signals): void {
  cleanUp();
  process.off(signal, onSignal);
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}

function install(): void {
  if (installed) return;
  installed = true;
  process.on("exit", cleanUp);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
}
