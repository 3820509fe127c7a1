import type { Context } from "./context.ts";
import type { OutputFormat } from "./flags.ts";

/** Prints a result on stdout: as the table, or the value as JSON or YAML. */
export async function print(
  context: Context,
  format: OutputFormat,
  value: unknown,
  asTable: () => string,
): Promise<void> {
  switch (format) {
    case "table":
      context.stdout.write(asTable());
      return;
    case "json":
      context.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
      return;
    case "yaml": {
      const { stringify } = await import("yaml");
      context.stdout.write(stringify(value));
      return;
    }
    default:
      format satisfies never;
  }
}
