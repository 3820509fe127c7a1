import { table } from "../src/cli/table.ts";

export type Row = readonly string[];

/** Prints a table with a title. All columns but the first are numbers, aligned to the right. */
export function printTable(title: string, header: Row, rows: readonly Row[], notes: readonly string[] = []) {
  print(`\n${title}\n${table(header, rows, header.slice(1))}`);
  for (const note of notes) print(`  ${note}\n`);
}

export function print(text: string): void {
  process.stdout.write(text);
}

/** Prints one line to stderr: progress, or an error. */
export function log(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function seconds(value: number): string {
  return `${number(value)} s`;
}

/** The median with the lowest and highest value: `4.21 s (4.10 to 4.40)`. */
export function spread(values: readonly number[], middle: number): string {
  return `${seconds(middle)} (${number(Math.min(...values))} to ${number(Math.max(...values))})`;
}

function number(value: number): string {
  return value.toFixed(value < 1 ? 3 : 2);
}

export function milliseconds(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}

export function mebibytes(value: number): string {
  const size = value / 1024 ** 2;
  return `${size < 10 && size > 0 ? size.toFixed(1) : Math.round(size)} MiB`;
}

export function rate(bytes: number, inSeconds: number): string {
  return `${Math.round(bytes / inSeconds / 1024 ** 2)} MiB/s`;
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

export function times(factor: number): string {
  return Number.isNaN(factor) ? "nothing" : `${factor.toFixed(2)}x`;
}
