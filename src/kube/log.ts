type Write = (fields: Record<string, unknown>, message: string) => void;

/** What the adapters need of a logger. pino's fits. */
export interface Log {
  debug: Write;
  info: Write;
  warn: Write;
  error: Write;
}

export const noLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
