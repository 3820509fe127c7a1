import { OperatorError } from "../../core/errors.ts";
import { type Check, describeFailures, plainChecks, verifyStored } from "../../backup/verify.ts";
import { openStore } from "../../store/open.ts";
import { parseBackupArgument } from "../backup-argument.ts";
import type { Context } from "../context.ts";
import { print } from "../output.ts";
import { progress } from "../progress.ts";
import { readSnapshotFile } from "../snapshot-file.ts";
import type { StatusFlags } from "./status.ts";
import { findStored } from "../find-stored.ts";
import { table } from "../table.ts";

/** `etcd-backup verify`: prints each check. Throws VerificationFailed when one fails. */
export async function verify(text: string, flags: StatusFlags, context: Context): Promise<void> {
  const { subject, checks } = await runChecks(text, flags, context);
  const restorable = checks.every((c) => c.ok);
  await print(context, flags.output, { subject, restorable, checks }, () => checksTable(checks));
  const failures = describeFailures(checks);
  if (failures === undefined) return;
  throw new OperatorError("VerificationFailed", `${subject} must not be restored: ${failures}`, {
    hint: "choose another backup: see `etcd-backup list`",
  });
}

async function runChecks(
  text: string,
  flags: StatusFlags,
  context: Context,
): Promise<{ subject: string; checks: Check[] }> {
  const backup = parseBackupArgument(text, flags);
  const { signal } = context;
  using lines = progress(context, flags);
  if (backup.kind === "file") {
    const reading = await readSnapshotFile(backup.path, signal, (done, total) =>
      lines.update("reading", done, total),
    );
    return { subject: backup.path, checks: plainChecks(reading) };
  }
  await using store = await openStore(backup.store, { env: context.env });
  let subject = `${store.url}/${backup.clusterName === undefined ? "" : `${backup.clusterName}/`}${backup.name}`;
  try {
    const { manifest } = await findStored(store, backup, context);
    subject = `${store.url}/${manifest.cluster.name}/${manifest.name}`;
    const onProgress = (done: number, total: number) => lines.update("reading", done, total);
    return { subject, checks: (await verifyStored(store, manifest, { signal, onProgress })).checks };
  } catch (error) {
    // A problem that the catalog or the store has found is a failed check.
    if (!(error instanceof OperatorError) || error.code !== "VerificationFailed") throw error;
    return { subject, checks: [{ check: "stored backup", ok: false, detail: error.message }] };
  }
}

function checksTable(checks: readonly Check[]): string {
  return table(
    ["CHECK", "RESULT", "DETAIL"],
    checks.map((c) => [c.check, c.ok ? "ok" : "FAILED", c.detail]),
  );
}
