import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { OperatorError, messageOf } from "../core/errors.ts";

const outputTailBytes = 16 * 1024;

/** The environment of the tool. It holds no ETCDCTL_* of this process, which the tool would take for flags. */
const childEnv = (): Record<string, string> => ({
  PATH: process.env["PATH"] ?? "",
  HOME: process.env["HOME"] ?? "/",
  ETCDCTL_API: "3",
});

export interface Execution {
  code: number | null;
  killedBy: NodeJS.Signals | null;
  /** The end of stdout and stderr. */
  output: string;
}

/**
 * Runs a program until it ends. An aborted signal kills it; the promise then rejects with the signal's reason once it
 * has ended. The program gets a process group of its own: Ctrl-C reaches only this process, and the children of a
 * wrapper script are killed with it.
 */
export async function execute(path: string, args: string[], signal: AbortSignal): Promise<Execution> {
  signal.throwIfAborted();
  const child = spawn(path, args, { env: childEnv(), stdio: ["ignore", "pipe", "pipe"], detached: true });
  const kill = (): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, "SIGKILL");
  };
  signal.addEventListener("abort", kill);
  const ended = new Promise<Pick<Execution, "code" | "killedBy">>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, killedBy) => resolve({ code, killedBy }));
  });
  try {
    const [exit, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
    signal.throwIfAborted();
    return { ...exit, output: `${stdout}\n${stderr}`.slice(-outputTailBytes) };
  } catch (error) {
    signal.throwIfAborted();
    const reason = messageOf(error);
    throw new OperatorError("Usage", `${path} cannot be run: ${reason}`, {
      hint: "give a program that is built for this machine",
      cause: error,
    });
  } finally {
    signal.removeEventListener("abort", kill);
  }
}
