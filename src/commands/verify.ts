import { OperatorError } from "../core/errors.ts";
import { type Check, plainChecks, readStored } from "../snapshot/stored.ts";
import { openStore } from "../store/open-store.ts";
import { parseStoreUrl } from "../store/store-url.ts";
import { parseBackupArgument } from "./backup-argument.ts";
import type { Context } from "./context.ts";
import { print } from "./output.ts";
import { progress } from "./progress.ts";
import { readSnapshotFile } from "./snapshot-file.ts";
import type { StatusFlags } from "./status.ts";
import { findStored } from "./stored-backup.ts";
import { table } from "./table.ts";

/** `etcd-backup verify`: every check by name. Throws VerificationFailed (exit 4) when one fails. */
export async function verify(text: string, flags: StatusFlags, context: Context): Promise<void> {
  const { subject, checks } = await examine(text, flags, context);
  const restorable = checks.every((c) => c.ok);
  await print(context, flags.output, { subject, restorable, checks }, () => checksTable(checks));
  const failed = checks.filter((c) => !c.ok).map((c) => c.check);
  if (!restorable)
    throw new OperatorError("VerificationFailed", `${subject} must not be restored: ${failed.join(", ")}`, {
      hint: "choose another backup: see `etcd-backup list`",
    });
}

async function examine(
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
  await using store = await openStore(parseStoreUrl(backup.storeUrl), { env: context.env });
  const { manifest } = await findStored(store, backup, context);
  const { checks } = await readStored(store, manifest, {
    signal,
    onProgress: (done, total) => lines.update("reading", done, total),
  });
  return { subject: `${store.url}/${manifest.cluster.name}/${manifest.name}`, checks };
}

function checksTable(checks: readonly Check[]): string {
  return table(
    ["CHECK", "RESULT", "DETAIL"],
    checks.map((c) => [c.check, c.ok ? "ok" : "FAILED", c.detail]),
  );
}
