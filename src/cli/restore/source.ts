import type { FileHandle } from "node:fs/promises";
import { download, writeAll } from "../../backup/download.ts";
import { recordSuccession } from "../../backup/catalog/succession.ts";
import { describeFailures, plainChecks } from "../../backup/verify.ts";
import { OperatorError } from "../../core/errors.ts";
import { parseEtcdVersion } from "../../core/etcd/version.ts";
import type { SnapshotToRestore, VerifiedSnapshot } from "../../restore/plan.ts";
import type { SnapshotFileReading } from "../../snapshot/read.ts";
import { openStore } from "../../store/open.ts";
import type { BackupArgument } from "../backup-argument.ts";
import type { Context } from "../context.ts";
import { findStored } from "../find-stored.ts";
import type { Progress } from "../progress.ts";
import { readSnapshotFile, snapshotFileSize } from "../snapshot-file.ts";

type OpenSource = SnapshotToRestore &
  AsyncDisposable & {
    /**
     * Records in the folder of the backup that the cluster `id` was restored from it, so that its own backups may follow
     * there. Absent for a file.
     */
    introduce?: (id: string) => Promise<void>;
  };

/** Finds the snapshot of a BACKUP argument: a file on this machine, or a backup in a store. Reads no snapshot data. */
export async function openSource(
  backup: BackupArgument,
  context: Context,
  lines: Progress,
): Promise<OpenSource> {
  const onProgress = (done: number, total: number): void => lines.update("verifying ", done, total);
  return backup.kind === "file"
    ? fileSource(backup.path, context.signal, onProgress)
    : storedSource(backup, context, onProgress);
}

type OnProgress = (doneBytes: number, totalBytes: number) => void;

async function fileSource(path: string, signal: AbortSignal, onProgress: OnProgress): Promise<OpenSource> {
  return {
    name: path,
    bytes: await snapshotFileSize(path),
    etcdVersion: undefined,
    write: async (file) => proved(path, await copySnapshot(path, file, signal, onProgress)),
    async [Symbol.asyncDispose]() {},
  };
}

/** An error of writing the copy is thrown as it is, and not as an error of the file that is read. */
async function copySnapshot(
  path: string,
  file: FileHandle,
  signal: AbortSignal,
  onProgress: OnProgress,
): Promise<SnapshotFileReading> {
  let writeError: unknown;
  const write = (chunk: Uint8Array): Promise<void> =>
    writeAll(file, chunk).catch((error: unknown) => {
      writeError = error;
      throw error;
    });
  return readSnapshotFile(path, signal, onProgress, write).catch((error: unknown) => {
    throw writeError ?? error;
  });
}

function proved(path: string, reading: SnapshotFileReading): VerifiedSnapshot {
  const { status, trailer, sha256 } = reading;
  const failures = describeFailures(plainChecks(reading));
  if (failures !== undefined || status === undefined)
    throw new OperatorError("VerificationFailed", `${path} must not be restored: ${failures ?? ""}`, {
      hint:
        trailer === "missing"
          ? "choose another backup; a copy of member/snap/db has no trailer: if it is all there is, see docs/runbooks/quorum-lost.md"
          : "choose another backup",
    });
  const etcdVersion = parseEtcdVersion(status.storageVersion || status.metadata.clusterVersion);
  return { revision: status.revision, sha256, ...(etcdVersion === undefined ? {} : { etcdVersion }) };
}

async function storedSource(
  backup: BackupArgument & { kind: "stored" },
  context: Context,
  onProgress: OnProgress,
): Promise<OpenSource> {
  const { env, signal } = context;
  await using opening = new AsyncDisposableStack();
  const store = opening.use(await openStore(backup.store, { env }));
  const { manifest } = await findStored(store, backup, context);
  const { revision, sha256, totalSizeBytes } = manifest.snapshot;
  const opened = opening.move();
  return {
    name: `${store.url}/${manifest.cluster.name}/${manifest.name}`,
    bytes: totalSizeBytes,
    etcdVersion: parseEtcdVersion(manifest.member.version),
    async write(file) {
      await download(store, manifest, file, { signal, onProgress });
      return { revision, sha256 };
    },
    introduce: (id) =>
      recordSuccession(
        store,
        manifest.cluster.name,
        { id, of: manifest.cluster.id, backup: manifest.name },
        signal,
      ),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
