import { CommanderError } from "commander";
import { OperatorError, asOperatorError } from "../core/errors.ts";
import { type Context, ExitWith, type LogLevel, exitCode } from "./context.ts";
import { build } from "./program.ts";

/** Runs one command line and prints its error, if any, on stderr. Resolves to the exit code. */
export async function run(argv: string[], host: NodeJS.Process): Promise<number> {
  const stop = new AbortController();
  const context: Context = {
    stdout: host.stdout,
    stderr: host.stderr,
    env: host.env,
    signal: stop.signal,
    now: () => new Date(),
  };
  const signals = listen(host, stop);
  const output = watchOutput(host);
  const program = build(context);
  const code = await program.parseAsync(argv, { from: "user" }).then(
    () => 0,
    (thrown: unknown) => {
      if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
      if (thrown instanceof ExitWith) {
        context.stderr.write(`etcd-backup: ${thrown.message}\n`);
        return thrown.exitCode;
      }
      const error = asOperatorError(thrown);
      printError(error, context, program.opts<{ logLevel: LogLevel }>().logLevel === "debug");
      return error.code === "Aborted" && signals.first() === "SIGTERM" ? 143 : exitCode(error);
    },
  );
  signals.done();
  return (await output.flushed()) || code !== 0 ? code : 1;
}

/** Wrappers such as npm forward the Ctrl-C that the terminal has sent to this process as well. */
const forwardedWithinMs = 300;

/**
 * The first signal aborts the command. A second one ends the process at once, and so does the first after the command is
 * done, when only a reader of the output is waited for.
 */
function listen(
  host: NodeJS.Process,
  stop: AbortController,
): { first: () => NodeJS.Signals | undefined; done: () => void } {
  let first: NodeJS.Signals | undefined;
  let isDone = false;
  let firstAt = 0;
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    host.on(name, () => {
      if (first !== undefined || isDone) {
        if (!isDone && performance.now() - firstAt < forwardedWithinMs) return;
        host.stderr.write("etcd-backup: stopped at once; the store may hold an unfinished upload\n");
        host.exit(name === "SIGINT" ? 130 : 143);
      }
      first = name;
      firstAt = performance.now();
      stop.abort(new OperatorError("Aborted", "stopped by " + (name === "SIGINT" ? "Ctrl-C" : name)));
    });
  }
  return { first: () => first, done: () => void (isDone = true) };
}

/**
 * A reader that has closed the pipe is no error, a full disk is. `flushed` waits until both streams have taken everything,
 * and resolves to whether stdout could be written.
 */
function watchOutput({ stdout, stderr }: NodeJS.Process): { flushed: () => Promise<boolean> } {
  let failure: NodeJS.ErrnoException | undefined;
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") failure ??= error;
  });
  stderr.on("error", () => {});
  const flush = (stream: NodeJS.WriteStream) =>
    new Promise<void>((resolve) => void stream.write("", () => resolve()));
  return {
    async flushed() {
      await flush(stdout);
      if (failure !== undefined)
        stderr.write(`etcd-backup: the result could not be written: ${failure.code ?? failure.message}\n`);
      await flush(stderr);
      return failure === undefined;
    },
  };
}

function printError(error: OperatorError, { stderr }: Context, withStack: boolean): void {
  stderr.write(`etcd-backup: ${error.message}\n`);
  if (error.hint !== undefined) stderr.write(`  hint: ${error.hint}\n`);
  if (!withStack) return;
  stderr.write(`${error.stack ?? ""}\n`);
  if (error.cause instanceof Error) stderr.write(`caused by ${error.cause.stack ?? error.cause.message}\n`);
}
