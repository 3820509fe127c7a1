type Write = (fields: Record<string, unknown>, message: string) => void;

/** What an adapter needs of a logger; pino's has it. */
export interface Log {
  debug: Write;
  info: Write;
  warn: Write;
  error: Write;
}

export const noLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
