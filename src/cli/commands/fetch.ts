import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { OperatorError } from "../../core/errors.ts";
import { download } from "../../backup/download.ts";
import { openStore } from "../../store/open.ts";
import { parseBackupArgument } from "../backup-argument.ts";
import type { Context, GlobalFlags } from "../context.ts";
import type { StoreFlags } from "../flags.ts";
import { findStored } from "../find-stored.ts";
import { bytes } from "../../core/human.ts";
import { progress } from "../progress.ts";
import { usage } from "../usage.ts";

export interface FetchFlags extends GlobalFlags, StoreFlags {
  output: string;
  force?: boolean;
}

/** `etcd-backup fetch`: writes the plain snapshot. The file appears only after the whole backup is verified. */
export async function fetch(text: string, flags: FetchFlags, context: Context): Promise<void> {
  const { signal } = context;
  const backup = parseBackupArgument(text, flags);
  if (backup.kind === "file")
    throw usage(`${text} is not a backup in a store`, "give the name of a backup with --store, or its URL");
  if (flags.output === "-")
    throw usage(
      "fetch cannot write to standard output",
      "give -o FILE, which fetch creates only after the whole backup is verified",
    );
  if (flags.force !== true && (await exists(flags.output))) {
    throw new OperatorError("AlreadyExists", `${flags.output} exists; it was not changed`, {
      hint: "choose another file, or add --force",
    });
  }
  await using store = await openStore(backup.store, { env: context.env });
  const { manifest } = await findStored(store, backup, context);
  using lines = progress(context, flags);
  const onProgress = (done: number, total: number) => lines.update("fetching", done, total);
  await writeAtomically(flags.output, (file) => download(store, manifest, file, { signal, onProgress }));
  lines.printLine(
    `${flags.output}: ${bytes(manifest.snapshot.totalSizeBytes)}, revision ${manifest.snapshot.revision}; restore it with \`etcd-backup restore ${flags.output}\` or \`etcdutl snapshot restore ${flags.output}\``,
  );
}

/** Writes a temporary file, syncs it, renames it and syncs the folder: after a crash the whole file exists or none. */
async function writeAtomically(path: string, fill: (file: FileHandle) => Promise<void>): Promise<void> {
  const folder = dirname(path);
  const part = join(folder, `.${basename(path)}.${randomBytes(4).toString("hex")}.part`);
  const file = await open(part, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
    throw usage(`cannot write to ${folder}: ${error.code ?? error.message}`);
  });
  try {
    await fill(file);
    await file.sync();
    await file.close();
    await rename(part, path);
    await using directory = await open(folder, "r");
    await directory.sync();
  } catch (error) {
    await file.close().catch(() => {});
    await rm(part, { force: true });
    throw writeError(error, path);
  }
}

/** Adds the path to an error of the file system. Other errors stay as they are. */
function writeError(error: unknown, path: string): unknown {
  if (error instanceof OperatorError || !(error instanceof Error) || !("errno" in error)) return error;
  const code = "code" in error ? String(error.code) : error.message;
  const reason = code === "ENOSPC" || code === "EDQUOT" ? `no space is left (${code})` : code;
  return new OperatorError("StoreFailed", `writing ${path}: ${reason}`, { cause: error });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
