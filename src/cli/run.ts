import { CommanderError } from "commander";
import { OperatorError, asOperatorError } from "../core/errors.ts";
import { type Context, type LogLevel, exitCode } from "./context.ts";
import { build } from "./program.ts";

/** Runs one command line. Resolves to the exit code; whatever goes wrong is said on stderr. */
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
  const writing = watchOutput(host);
  const program = build(context);
  const code = await program.parseAsync(argv, { from: "user" }).then(
    () => 0,
    (thrown: unknown) => {
      if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
      const error = asOperatorError(thrown);
      printError(error, context, program.opts<{ logLevel: LogLevel }>().logLevel === "debug");
      return error.code === "Aborted" && signals.first() === "SIGTERM" ? 143 : exitCode(error);
    },
  );
  signals.done();
  return (await writing.ended()) || code !== 0 ? code : 1;
}

/** First signal: stop in good order. Second, or when only a reader is waited for: at once. */
function listen(
  host: NodeJS.Process,
  stop: AbortController,
): { first: () => NodeJS.Signals | undefined; done: () => void } {
  let first: NodeJS.Signals | undefined;
  let isDone = false;
  let at = 0;
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    host.on(name, () => {
      if (first !== undefined || isDone) {
        // Wrappers forward what the terminal has sent to everybody already: that is one Ctrl-C, not two.
        if (!isDone && performance.now() - at < 300) return;
        host.stderr.write("etcd-backup: stopped at once; the store may hold an unfinished upload\n");
        host.exit(name === "SIGINT" ? 130 : 143);
      }
      first = name;
      at = performance.now();
      stop.abort(new OperatorError("Aborted", "stopped by " + (name === "SIGINT" ? "Ctrl-C" : name)));
    });
  }
  return { first: () => first, done: () => void (isDone = true) };
}

/** A closed pipe behind us is no error; a full disk is. What a pipe could not yet hold is waited for at the end. */
function watchOutput({ stdout, stderr }: NodeJS.Process): { ended: () => Promise<boolean> } {
  let failure: NodeJS.ErrnoException | undefined;
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") failure ??= error;
  });
  stderr.on("error", () => {});
  const flushed = (stream: NodeJS.WriteStream) =>
    new Promise<void>((resolve) => void stream.write("", () => resolve()));
  return {
    async ended() {
      await flushed(stdout);
      if (failure !== undefined)
        stderr.write(`etcd-backup: the result could not be written: ${failure.code ?? failure.message}\n`);
      await flushed(stderr);
      return failure === undefined;
    },
  };
}

function printError(error: OperatorError, { stderr }: Context, withStack: boolean): void {
  stderr.write(`etcd-backup: ${error.message}\n`);
  if (error.hint !== undefined) stderr.write(`  hint: ${error.hint}\n`);
  if (withStack)
    stderr.write(
      `${error.stack ?? ""}\n${error.cause instanceof Error ? `caused by ${error.cause.stack ?? error.cause.message}\n` : ""}`,
    );
}
