import type { OperatorError } from "../core/errors.ts";

/** The parts of the process that a command may use. */
export interface Context {
  stdout: Output;
  stderr: Output;
  env: Readonly<Record<string, string | undefined>>;
  /** Fires on SIGINT and SIGTERM. */
  signal: AbortSignal;
  now: () => Date;
}

/** Thrown by a command that ends with an exit code of its own. */
export class ExitWith extends Error {
  readonly exitCode: number;

  constructor(code: number, message: string) {
    super(message);
    this.exitCode = code;
  }
}

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Flags of every verb. */
export interface GlobalFlags {
  quiet?: boolean;
  logLevel: LogLevel;
}

export const logLevels = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof logLevels)[number];

/**
 * 1: another attempt may succeed. 2: usage. 3: permanent. 4: verification failed. 130: stopped by Ctrl-C; run() returns
 * 143 for SIGTERM.
 */
export function exitCode(error: OperatorError): number {
  switch (error.code) {
    case "Usage":
      return 2;
    case "VerificationFailed":
      return 4;
    case "Aborted":
      return 130;
    default:
      return error.permanent ? 3 : 1;
  }
}
