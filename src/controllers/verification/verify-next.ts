import type { BackupEvent, StoreEvent } from "../../api/v1alpha1/events.ts";
import { readClaim } from "../../backup/catalog/claim.ts";
import { orUnusable } from "../../backup/catalog/json-record.ts";
import { changeMarks } from "../../backup/catalog/verification.ts";
import { verifyNamed } from "../../backup/verify-named.ts";
import { asOperatorError } from "../../core/errors.ts";
import { byteRate } from "../../core/byte-rate.ts";
import { type Marks, type Verdict, noMarks, withVerdict } from "../../core/verification/marks.ts";
import {
  type Round,
  type VerifiableFolder,
  countVerified,
  failedBefore,
  hadTurn,
  inTurn,
  oldestVerified,
} from "../../core/verification/round.ts";
import type { Store } from "../../store/store.ts";
import { eventsOf } from "../events.ts";
import { requestOf } from "../reconciler.ts";
import type { VerificationContext } from "./context.ts";

/** What one round of a store has learned. Names are `<cluster>/<backup>`, or a cluster. */
export interface RoundMemory {
  /** Which round of which store this is. */
  of: string;
  due: Date;
  /** What cannot be verified in this round: removed backups, those of a later release, folders of other writers. */
  excluded: Set<string>;
  /** What could not be read. It is tried again after all others. */
  postponed: Set<string>;
}

interface Choice {
  folder: VerifiableFolder;
  name: string;
}

/**
 * Verifies one backup. `done`: every folder had its turn. `later`: what is left could not be read. Throws an error of the
 * store, after which another backup is tried first.
 */
export async function verifyNext(
  context: VerificationContext,
  memory: RoundMemory,
): Promise<"more" | "later" | "done"> {
  const { store, now, signal } = context;
  await using opened = await context.openStore(store, signal);
  const round = { due: memory.due, now: now() };
  const folders = await foldersOf(context, opened, memory);
  const choice = await choose(context, opened, { folders, round, postponed: memory.postponed });
  context.reports.update(store, {
    verified: folders.reduce((sum, folder) => sum + countVerified(folder, round), 0),
  });
  if (choice === undefined) {
    memory.postponed.clear();
    const left = await choose(context, opened, { folders, round, postponed: memory.postponed });
    if (left !== undefined) return "later";
    context.reports.update(store, { trouble: undefined });
    return "done";
  }
  await verify(context, opened, { choice, memory });
  return "more";
}

/** The folders of this writer and of nobody. A ReadOnly store is only read, so all of them. */
async function foldersOf(
  context: VerificationContext,
  opened: Store,
  { excluded }: RoundMemory,
): Promise<VerifiableFolder[]> {
  const { store, catalog, signal } = context;
  const folders: VerifiableFolder[] = [];
  for (const clusterName of catalog.clusterNames()) {
    if (excluded.has(clusterName)) continue;
    const writer = await orUnusable(catalog.writerOf(opened, clusterName, signal));
    if (isOfOther(writer, store)) continue;
    const marks = await marksOf(context, opened, clusterName);
    if (marks === "later") continue;
    const names = catalog.verifiable(clusterName);
    const isIncluded = (name: string) => !excluded.has(`${clusterName}/${name}`);
    folders.push({ clusterName, names: excluded.size === 0 ? names : names.filter(isIncluded), marks });
  }
  return folders;
}

/** `later`: only a later release can change the record. A damaged one is written anew by the next verification. */
async function marksOf(
  { catalog, signal }: VerificationContext,
  opened: Store,
  clusterName: string,
): Promise<Marks | "later"> {
  try {
    return await catalog.marksOf(opened, clusterName, signal);
  } catch (error) {
    const { code } = asOperatorError(error);
    if (code === "VerificationFailed") return noMarks;
    if (code === "Refused") return "later";
    throw error;
  }
}

function isOfOther(
  writer: string | undefined,
  { spec, status }: Pick<VerificationContext["store"], "spec" | "status">,
): boolean {
  return spec.accessMode === "ReadWrite" && writer !== undefined && writer !== status.writer?.id;
}

async function choose(
  { store, catalog, signal }: VerificationContext,
  opened: Store,
  {
    folders,
    round,
    postponed,
  }: { folders: readonly VerifiableFolder[]; round: Round; postponed: ReadonlySet<string> },
): Promise<Choice | undefined> {
  for (const whole of inTurn(folders, round)) {
    const { clusterName } = whole;
    const isFree = (name: string) => !postponed.has(`${clusterName}/${name}`);
    const folder = { ...whole, names: whole.names.filter(isFree) };
    if (!hadTurn(whole, round)) {
      const name =
        store.spec.verify?.which === "Latest"
          ? await catalog.latestOf(opened, clusterName, signal)
          : oldestVerified(folder, round);
      if (name !== undefined && folder.names.includes(name)) return { folder, name };
    }
    const again = failedBefore(folder, round);
    if (again !== undefined) return { folder, name: again };
  }
  return undefined;
}

async function verify(
  context: VerificationContext,
  opened: Store,
  { choice: { folder, name }, memory }: { choice: Choice; memory: RoundMemory },
): Promise<void> {
  const { store, now, log, reports, signal, key } = context;
  const { clusterName } = folder;
  const place = `${clusterName}/${name}`;
  const { maxRate } = store.spec.verify ?? {};
  memory.postponed.add(place);
  const verification = await verifyNamed(
    opened,
    { clusterName, name },
    {
      maxRate: maxRate === undefined ? undefined : byteRate(maxRate, "spec.verify.maxRate"),
      signal,
    },
  );
  if (verification.is === "gone" || verification.is === "later") memory.excluded.add(place);
  else {
    const problem = verification.is === "damaged" ? { problem: verification.problem } : {};
    const verdict = { name, at: now(), ...problem };
    log.info({ store: key, backup: place, ...problem }, "verified a stored backup");
    if (!(await record(context, opened, { clusterName, verdict }))) memory.excluded.add(clusterName);
    const lastTime = verdict.at;
    reports.update(store, {
      lastTime,
      ...(verification.is === "sound" ? { lastSuccessfulTime: lastTime } : {}),
    });
    await tell(context, {
      place,
      clusterName,
      verdict,
      failedBefore: folder.marks.problems.has(name),
      opened,
    });
  }
  memory.postponed.delete(place);
}

/** Writes the record, unless another writer has taken the folder: then false. */
async function record(
  context: VerificationContext,
  opened: Store,
  { clusterName, verdict }: { clusterName: string; verdict: Verdict },
): Promise<boolean> {
  const { store, catalog, signal } = context;
  // A catalog that was forgotten meanwhile shows nothing.
  const exists = (name: string) => catalog.listedAt === undefined || catalog.has(clusterName, name);
  if (store.spec.accessMode === "ReadOnly") {
    const marks = await marksOf(context, opened, clusterName);
    catalog.noteMarks(clusterName, withVerdict(marks === "later" ? noMarks : marks, verdict, exists));
    return true;
  }
  const claim = await orUnusable(readClaim(opened, clusterName, signal));
  if (claim === "unusable" || isOfOther(claim?.writer?.id, store)) return false;
  const change = (marks: Marks) => withVerdict(marks, verdict, exists);
  const { marks, listed } = await changeMarks(opened, clusterName, { change, signal });
  catalog.noteMarks(clusterName, marks, listed);
  return true;
}

/** Events for a failure and for its end, and for the EtcdBackups of the backup their condition. */
async function tell(
  { store, key, known, resources, events, wake, signal }: VerificationContext,
  {
    place,
    clusterName,
    verdict: { name, problem },
    failedBefore: hadFailed,
    opened,
  }: { place: string; clusterName: string; verdict: Verdict; failedBefore: boolean; opened: Store },
): Promise<void> {
  const { namespace } = requestOf(key);
  const at = { namespace, store: store.metadata.name, location: opened.location, clusterName, name };
  const keys = known.keysOf(at);
  for (const backup of keys) wake.backups(backup);
  if ((problem !== undefined) === hadFailed) return;
  wake.stores(key);
  const backups = await Promise.all(keys.map((backup) => resources.backup(requestOf(backup), signal)));
  for (const object of [store, ...backups.filter((backup) => backup !== undefined)]) {
    const to = eventsOf<StoreEvent & BackupEvent>(events, object, "Verify");
    if (problem === undefined) to.normal("VerifiedAgain", `the stored backup ${place} verifies again`);
    else to.warning("VerificationFailed", `the stored backup ${place} no longer verifies: ${problem}`);
  }
}
