import { readFile, writeFile } from "node:fs/promises";
import { markerFile } from "./work-layout.ts";

/** Writes the marker of a data directory that holds `member`. */
export async function writeMarker(dataDir: string, marker: object): Promise<void> {
  await writeFile(markerFile(dataDir), `${JSON.stringify(marker, undefined, 2)}\n`, { mode: 0o600 });
}

/** The marker of the restore that filled this data directory; undefined without a readable one. */
export async function readMarker(dataDir: string): Promise<Record<string, unknown> | undefined> {
  try {
    return JSON.parse(await readFile(markerFile(dataDir), "utf8")) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
