import { open, readFile, rm } from "node:fs/promises";
import { OperatorError } from "../core/errors.ts";
import { beginWork, commitWork, endWork, readMarker, workOf } from "../restore/data-dir.ts";
import { checkTarget } from "../restore/target.ts";
import { findBackup } from "../backup/catalog/list.ts";
import { download } from "../backup/download.ts";
import { openStore } from "../store/open.ts";
import { parseStoreUrl } from "../store/url.ts";
import type { Context, GlobalFlags } from "../cli/context.ts";
import { type StoreFlags, storeUrlOf } from "../cli/flags.ts";
import { progress } from "../cli/progress.ts";

export interface StepFlags extends GlobalFlags, StoreFlags {
  /** UID of the EtcdRestore. */
  id: string;
  dataDir: string;
  /** `<cluster>/<name>`. */
  backup: string;
  storeCa?: string;
  sha256?: string;
  member?: string;
  token?: string;
}

/**
 * `etcd-backup restore-step fetch`: the first container of a member's Job. A volume that holds data is refused, unless
 * this very restore has put it there: then the steps run again, and change nothing.
 */
export async function fetchStep(flags: StepFlags, context: Context): Promise<void> {
  const { id, dataDir } = flags;
  const { signal, env } = context;
  const target = { dataDir };
  const found = await refuseForeign(flags);
  const [clusterName = "", name = ""] = flags.backup.split("/");
  const config = parseStoreUrl(storeUrlOf(flags));
  const ca = flags.storeCa === undefined ? {} : { caBundlePem: await readFile(flags.storeCa, "utf8") };
  await using store = await openStore(config.kind === "s3" ? { ...config, ...ca } : config, { env });
  const { manifest } = await findBackup(store, { name, clusterName, signal });
  if (manifest.snapshot.sha256 !== flags.sha256) {
    throw new OperatorError("VerificationFailed", `backup ${name} is not the one that was verified before`);
  }
  await beginWork(target, id, found);
  using lines = progress(context, flags);
  await using file = await open(workOf(target, id).snapshot, "wx", 0o600);
  const onProgress = (done: number, total: number) => lines.update("verifying ", done, total);
  await download(store, manifest, file, { signal, onProgress });
}

/** `etcd-backup restore-step place`: the last one. Syncs what the tool has made, and gives it its place. */
export async function placeStep(flags: StepFlags, { now }: Context): Promise<void> {
  const { id, dataDir, member, token, backup } = flags;
  const target = { dataDir };
  if ((await refuseForeign(flags)) === "fresh") {
    await rm(workOf(target, id).snapshot, { force: true });
    await commitWork(target, id, { restore: id, backup, member, token, restoredAt: now().toISOString() });
  }
  await endWork(target, id, true);
}

async function refuseForeign({ id, dataDir }: StepFlags): Promise<"fresh" | "placed"> {
  const marker = await readMarker(dataDir);
  if (marker?.["restore"] === id) return "placed";
  await checkTarget({ dataDir });
  return "fresh";
}
