import { type Logger, pino } from "pino";
import { OperatorError } from "../core/errors.ts";

/**
 * A logger of JSON lines. Below `config`, `auth` and `headers`, at the top and one level down, the values of keys that
 * name secrets are redacted.
 */
export function createLog(options: { level: string; destination?: { write(line: string): void } }): Logger {
  const secrets = [
    "password",
    "secretAccessKey",
    "sessionToken",
    "authorization",
    "Authorization",
    "token",
    "key",
    "tls",
    "credentials",
  ];
  return pino(
    {
      level: options.level,
      base: { app: "etcd-backup-operator" },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: secrets.flatMap((name) => [
          `config.${name}`,
          `*.config.${name}`,
          `auth.${name}`,
          `*.auth.${name}`,
          `headers.${name}`,
          `*.headers.${name}`,
        ]),
        censor: "[redacted]",
      },
      serializers: { err: describeError },
    },
    options.destination ?? pino.destination({ dest: 1, sync: false }),
  );
}

/** Only fields that hold no secret: libraries attach requests and headers to their errors. */
function describeError(thrown: unknown): object {
  if (!(thrown instanceof Error)) return { message: String(thrown) };
  const { name, message, stack } = thrown;
  const code =
    thrown instanceof OperatorError
      ? { code: thrown.code, permanent: thrown.permanent, hint: thrown.hint }
      : {};
  const withStack = thrown instanceof OperatorError && thrown.code !== "Internal" ? {} : { stack };
  return {
    name,
    message,
    ...code,
    ...withStack,
    ...(thrown.cause instanceof Error ? { cause: thrown.cause.message } : {}),
  };
}
