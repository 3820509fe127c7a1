import { readFile } from "node:fs/promises";
import { fetchSnapshot } from "../../jobs/fetch-step.ts";
import { placeData } from "../../jobs/place-step.ts";
import { storeCaVariable } from "../../core/store/job-store.ts";
import { openStore } from "../../store/open.ts";
import { placedExitCode } from "../../core/restore/placed-exit-code.ts";
import { type Context, ExitWith, type GlobalFlags } from "../context.ts";
import { type StoreFlags, storeOf } from "../flags.ts";
import { progress } from "../progress.ts";

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
 * `etcd-backup restore-step fetch`, the first container of a member's Job. Ends with `placedExitCode` when the volume
 * holds the data of this restore.
 */
export async function fetchStep(flags: StepFlags, context: Context): Promise<void> {
  const { id, dataDir, sha256 = "" } = flags;
  const { signal, env } = context;
  const [clusterName = "", backup = ""] = flags.backup.split("/");
  const config = storeOf(flags);
  const ca = await authoritiesOf(flags, env);
  await using store = await openStore(config, { env, ...ca });
  using lines = progress(context, flags);
  const onProgress = (done: number, total: number) => lines.update("verifying ", done, total);
  const done = await fetchSnapshot(
    { id, dataDir, clusterName, backup, sha256 },
    { store, signal, onProgress },
  );
  if (done === "placed")
    throw new ExitWith(
      placedExitCode,
      `${dataDir} already holds the data of this restore; nothing was changed`,
    );
}

/** The CAs of --store-ca and those that the operator passed on. */
async function authoritiesOf({ storeCa }: StepFlags, env: Context["env"]): Promise<{ caBundlePem?: string }> {
  const mounted = storeCa === undefined ? [] : [await readFile(storeCa, "utf8")];
  const given = env[storeCaVariable];
  const bundles = given === undefined ? mounted : [...mounted, given];
  return bundles.length === 0 ? {} : { caBundlePem: bundles.join("\n") };
}

/** `etcd-backup restore-step place`, the last container of a member's Job. */
export async function placeStep(flags: StepFlags, { now }: Context): Promise<void> {
  const { id, dataDir, member, token, backup } = flags;
  await placeData({ id, dataDir, member, token, backup }, now());
}
