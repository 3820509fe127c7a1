import { readFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { createStatusReader, type SnapshotReading } from "../../src/snapshot/status.ts";

const directory = join(import.meta.dirname, "snapshots");

/** `snapshot status -w json` of the minor that made a snapshot. */
export interface ExpectedStatus {
  hash: number;
  revision: number;
  totalKey: number;
  totalSize: number;
  version?: string;
}

export function expectedStatuses(): [name: string, status: ExpectedStatus][] {
  const file: Record<string, ExpectedStatus> = JSON.parse(readFileSync(join(directory, "expected.json"), "utf8"));
  return Object.entries(file);
}

/** A snapshot of etcd with its trailer. */
export function snapshotFile(name: string): Buffer {
  return zstdDecompressSync(readFileSync(join(directory, `${name}.db.zst`)));
}

export function databaseOf(name: string): Buffer {
  return snapshotFile(name).subarray(0, -32);
}

export function statusOf(reading: SnapshotReading): ExpectedStatus {
  const { status, violations } = reading;
  if (status === undefined) throw new Error(`no status: ${JSON.stringify(violations)}`);
  const { hash, revision, totalKeys, totalSize, storageVersion } = status;
  return { hash, revision, totalKey: totalKeys, totalSize, ...(storageVersion && { version: storageVersion }) };
}

/** Reads a database in chunks of these sizes, used in turn. All chunks share one buffer, so that a reader that keeps a chunk fails. */
export function readInChunks(bytes: Uint8Array, sizes: readonly number[]): SnapshotReading {
  const reader = createStatusReader();
  const shared = Buffer.alloc(Math.max(...sizes));
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = Math.min(sizes[turn % sizes.length] ?? 1, bytes.length - at);
    shared.set(bytes.subarray(at, at + size));
    reader.push(shared.subarray(0, size));
    at += size;
  }
  return reader.finishAtOnce();
}

export function readWhole(bytes: Uint8Array): SnapshotReading {
  const reader = createStatusReader();
  reader.push(bytes);
  return reader.finishAtOnce();
}
