import { OperatorError } from "../../core/errors.ts";
import { describeFailures, plainChecks } from "../../backup/verify.ts";
import { hex8 } from "../../core/hex.ts";
import { type BackupArgument, parseBackupArgument } from "../backup-argument.ts";
import type { Context, GlobalFlags } from "../context.ts";
import type { OutputFormat, StoreFlags } from "../flags.ts";
import { bytes } from "../../core/human.ts";
import { print } from "../output.ts";
import { progress } from "../progress.ts";
import { table } from "../table.ts";

export interface StatusFlags extends GlobalFlags, StoreFlags {
  output: OutputFormat;
}

interface StatusFacts {
  /** 8 hex digits. */
  hash: string;
  revision: number;
  totalKeys: number;
  pairs: number;
  liveKeys: number;
  totalSizeBytes: number;
  storageVersion: string;
}

/** `etcd-backup status`: reads the manifest of a stored backup, and the whole of a snapshot file. */
export async function status(text: string, flags: StatusFlags, context: Context): Promise<void> {
  const backup = parseBackupArgument(text, flags);
  const { facts, problem } =
    backup.kind === "file"
      ? await readFileStatus(backup, flags, context)
      : { facts: await readStoredStatus(backup, context), problem: undefined };
  await print(context, flags.output, etcdutlJson(facts), () => statusTable(facts));
  if (problem !== undefined) throw new OperatorError("VerificationFailed", `${text}: ${problem}`);
}

async function readStoredStatus(
  backup: BackupArgument & { kind: "stored" },
  context: Context,
): Promise<StatusFacts> {
  const [{ findStored }, { openStore }] = await Promise.all([
    import("../find-stored.ts"),
    import("../../store/open.ts"),
  ]);
  await using store = await openStore(backup.store, { env: context.env });
  const { manifest } = await findStored(store, backup, context);
  return manifest.snapshot;
}

async function readFileStatus(
  backup: BackupArgument & { kind: "file" },
  flags: GlobalFlags,
  context: Context,
): Promise<{ facts: StatusFacts; problem: string | undefined }> {
  const { readSnapshotFile } = await import("../snapshot-file.ts");
  using lines = progress(context, flags);
  const reading = await readSnapshotFile(backup.path, context.signal, (done, total) =>
    lines.update("reading", done, total),
  );
  const problem = describeFailures(plainChecks(reading));
  if (reading.status === undefined)
    throw new OperatorError("VerificationFailed", `${backup.path}: ${problem ?? "it cannot be read"}`);
  const { hash, totalSize, ...facts } = reading.status;
  return { facts: { ...facts, hash: hex8(hash), totalSizeBytes: totalSize }, problem };
}

/** HASH has no leading zeros, as etcdutl prints it. */
export function statusTable(facts: StatusFacts): string {
  const header = ["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE", "VERSION"];
  const hash = Number.parseInt(facts.hash, 16).toString(16);
  return table(header, [
    [
      hash,
      String(facts.revision),
      String(facts.totalKeys),
      bytes(facts.totalSizeBytes),
      facts.storageVersion || "-",
    ],
  ]);
}

/** The fields of `etcdutl snapshot status -w json`, and both key counts. */
function etcdutlJson(facts: StatusFacts) {
  return {
    hash: Number.parseInt(facts.hash, 16),
    revision: facts.revision,
    totalKey: facts.totalKeys,
    totalSize: facts.totalSizeBytes,
    version: facts.storageVersion,
    pairs: facts.pairs,
    liveKeys: facts.liveKeys,
  };
}
