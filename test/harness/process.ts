import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { cleanEnvironment } from "./environment.ts";
import { killAtExit } from "./exit-cleanup.ts";
import { untilStopped } from "./stopped.ts";

export { freePorts } from "./ports.ts";
export { tempDir } from "./temp-dir.ts";

/** How a process ended: either `code` or `signal` is set. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface RunningProcess extends AsyncDisposable {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** False after the process has ended. A paused process is running. */
  readonly running: boolean;
  /** The last 256 KiB of standard output and error, in the order of arrival. */
  output(): string;
  /** Sends a signal. Does nothing if the process has ended. */
  signal(name: NodeJS.Signals): void;
  /** SIGSTOP; on Linux it returns when every thread is stopped. Connections stay open, and the process does not answer. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** SIGTERM (and SIGCONT, for a paused process), then SIGKILL after 10 s. Resolves when the process has ended. */
  stop(): Promise<void>;
  /** SIGKILL. Resolves when the process has ended. */
  kill(): Promise<void>;
}

export interface ProcessOptions {
  /** Added to the clean environment. */
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Name in messages; default: the command. */
  name?: string;
}

const outputLimit = 256 * 1024;
const killAfterMs = 10_000;

/** Starts a server, which is killed when the test process ends. Throws if the server cannot be started. */
export function startProcess(command: string, args: string[], options: ProcessOptions = {}): RunningProcess {
  const child = spawn(command, args, {
    env: cleanEnvironment(options.env),
    stdio: ["ignore", "pipe", "pipe"],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const exited = exitOf(child);
  const { pid } = child;
  if (pid === undefined) {
    exited.catch(() => {});
    throw new Error(`cannot start ${options.name ?? command}: is ${command} an executable file?`);
  }
  const registration = killAtExit(pid);
  void exited.finally(() => registration[Symbol.dispose]());
  const tail = boundedTail(outputLimit);
  void collect(child.stdout, tail.add);
  void collect(child.stderr, tail.add);

  const signal = (name: NodeJS.Signals): void => void (running(child) && child.kill(name));
  const kill = async (): Promise<void> => {
    signal("SIGKILL");
    await exited;
  };
  const stop = async (): Promise<void> => {
    signal("SIGTERM");
    signal("SIGCONT");
    const timer = setTimeout(() => signal("SIGKILL"), killAfterMs);
    await exited;
    clearTimeout(timer);
  };
  return {
    pid,
    exited,
    get running() {
      return running(child);
    },
    output: tail.text,
    signal,
    pause() {
      signal("SIGSTOP");
      if (running(child)) untilStopped(pid);
    },
    resume: () => signal("SIGCONT"),
    stop,
    kill,
    [Symbol.asyncDispose]: stop,
  };
}

export interface RunOptions extends ProcessOptions {
  input?: string | Uint8Array;
  signal?: AbortSignal;
  /** Used instead of the clean environment. */
  wholeEnv?: NodeJS.ProcessEnv;
}

/** Runs a command to its end. A non-zero exit code is a result, not an error. The code is 128 if a signal ended it. */
export async function run(
  command: string,
  args: string[],
  options: RunOptions = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  options.signal?.throwIfAborted();
  const child = spawn(command, args, {
    env: options.wholeEnv ?? cleanEnvironment(options.env),
    stdio: ["pipe", "pipe", "pipe"],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.signal === undefined ? {} : { signal: options.signal, killSignal: "SIGKILL" }),
  });
  const exited = exitOf(child);
  using registrations = new DisposableStack();
  if (child.pid !== undefined) registrations.use(killAtExit(child.pid));
  // A child that does not read its input closes the pipe. Its exit code tells whether that is a failure.
  child.stdin.on("error", () => {});
  child.stdin.end(options.input);
  const [exit, stdout, stderr] = await Promise.all([exited, text(child.stdout), text(child.stderr)]);
  options.signal?.throwIfAborted();
  return { code: exit.code ?? 128, stdout, stderr };
}

/** As `run`, but throws an error with the command's output on a non-zero exit code. Returns standard output. */
export async function runOrThrow(command: string, args: string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, options);
  if (code === 0) return stdout;
  throw new Error(`${options.name ?? command} ${args.join(" ")}: exit code ${code}\n${stderr}${stdout}`);
}

async function exitOf(child: ChildProcess): Promise<Exit> {
  const closed = once(child, "close");
  closed.catch(() => {});
  await once(child, "exit");
  // The pipes still hold output. Do not wait for a grandchild that keeps them open.
  await Promise.race([closed, delay(500, undefined, { ref: false })]);
  return { code: child.exitCode, signal: child.signalCode };
}

function running(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

async function collect(stream: Readable, add: (text: string) => void): Promise<void> {
  stream.setEncoding("utf8");
  try {
    for await (const chunk of stream) add(String(chunk));
  } catch {
    // The pipe broke when the process ended. The output that was read is kept.
  }
}

function boundedTail(limit: number): { add: (text: string) => void; text: () => string } {
  let chunks: string[] = [];
  let length = 0;
  const joined = (): string => {
    chunks = [chunks.join("").slice(-limit)];
    length = chunks[0]?.length ?? 0;
    return chunks[0] ?? "";
  };
  return {
    add(chunk) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > 2 * limit) joined();
    },
    text: joined,
  };
}

/** Whether there is a process with this ID, of any user. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
