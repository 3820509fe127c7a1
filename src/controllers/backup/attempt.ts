import type { BackupEvent } from "../../api/v1alpha1/events.ts";
import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdConnection } from "../../api/v1alpha1/etcd-connection.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { Manifest } from "../../backup/manifest/manifest.ts";
import type { AgreementCache } from "../agreement-cache.ts";
import type { SaveStep } from "../../backup/progress.ts";
import { mayDelete } from "../../backup/folder.ts";
import { saveSnapshot } from "../../backup/save.ts";
import type { SnapshotCluster } from "../../backup/source.ts";
import { deadlineOf } from "../../core/backup/failure.ts";
import type { BackupReport, StoredBackup } from "../../core/backup/observed.ts";
import { type Series, seriesOfSchedule } from "../../core/backup/series.ts";
import { scheduleOf } from "../../core/schedule/child.ts";
import { byteRate } from "../../core/byte-rate.ts";
import { OperatorError, asOperatorError } from "../../core/errors.ts";
import { describeEqual, describeGroups } from "../../core/etcd/hash-agreement.ts";
import type { KnownWriters } from "../../core/store/writer.ts";
import type { Store } from "../../store/store.ts";
import { type EventSink, type ObjectEvents, eventsOf } from "../events.ts";
import type { KeyedMutex } from "../keyed-mutex.ts";
import type { Catalogs } from "../store/catalogs.ts";
import type { Log } from "../../core/log.ts";
import { keyOf } from "../reconciler.ts";
import type { Runner } from "../runner.ts";
import type { BackupResources } from "./context.ts";
import { sweepAttempts } from "./sweep.ts";
import { writerIn } from "./writer.ts";

/** All that an attempt is told. It is data, so another process could make the attempt. */
export interface AttemptWork {
  /** With the status in which the attempt begins. */
  backup: EtcdBackup;
  /** Its spec.etcd. */
  etcd: EtcdConnection;
  store: EtcdBackupStore;
  runId: string;
}

type ReportChange = (change: Partial<BackupReport>) => void;

/** Makes the attempts of EtcdBackups. A run succeeds when the store holds the backup. */
export type BackupRunner = Runner<AttemptWork, BackupReport, StoredBackup>;

export interface AttemptDeps {
  resources: Pick<BackupResources, "store">;
  writers: KnownWriters;
  /** What the stores hold. A backup that was stored is noted there. */
  catalogs: Catalogs;
  openStore(store: EtcdBackupStore, signal: AbortSignal): Promise<Store>;
  openCluster(
    of: { metadata: EtcdBackup["metadata"]; spec: { etcd: EtcdConnection } },
    signal: AbortSignal,
  ): Promise<SnapshotCluster & AsyncDisposable>;
  /** By endpoints and by member: only one EtcdBackup at a time compares and reads the members of a cluster. */
  streams: KeyedMutex;
  /** HashKV is compared once an hour, and not by each EtcdBackup. */
  agreements: AgreementCache;
  events: EventSink;
  tool: Manifest["tool"];
  /** The UID of the namespace kube-system. Undefined when the operator may not read it. */
  kubernetesCluster(signal: AbortSignal): Promise<string | undefined>;
  now: () => Date;
  log: Log;
}

const reportEveryMs = 2_000;

/** Runs the save of the command line, limited to the time that spec.timeoutSeconds leaves. */
export async function runAttempt(
  deps: AttemptDeps,
  work: AttemptWork,
  report: ReportChange,
  cancelled: AbortSignal,
): Promise<StoredBackup> {
  const { spec, status } = work.backup;
  const leftMs = deadlineOf(spec.timeoutSeconds, status, deps.now()).getTime() - deps.now().getTime();
  const deadline = AbortSignal.timeout(Math.max(1, leftMs));
  try {
    return await save(deps, work, report, AbortSignal.any([cancelled, deadline]));
  } catch (error) {
    if (!deadline.aborted || cancelled.aborted) throw error;
    throw new OperatorError("Timeout", "the attempt was stopped at the deadline of the backup", {
      hint: "raise spec.timeoutSeconds, or look for the slow step in the events",
      cause: error,
      outcomeUnknown: asOperatorError(error).outcomeUnknown,
    });
  }
}

async function save(
  deps: AttemptDeps,
  { backup, etcd, store, runId }: AttemptWork,
  report: ReportChange,
  signal: AbortSignal,
): Promise<StoredBackup> {
  const { spec, metadata } = backup;
  await using opened = await deps.openStore(store, signal);
  // The probe finds an unusable store before any member is asked.
  await opened.probe({ signal, write: false });
  const writer = writerIn(backup, deps);
  const { clusterName } = spec;
  if ((backup.status.attempts ?? 0) > 1 && (await mayDelete({ store: opened, clusterName, writer }, signal)))
    await sweepAttempts(opened, backup, { ...deps, signal });
  const series = await seriesOf(backup, deps, signal);
  await using cluster = await deps.openCluster({ metadata, spec: { etcd } }, signal);
  const manifest = await saveSnapshot({
    cluster,
    turns: deps.streams,
    agreements: deps.agreements.of(connectionOf(metadata.namespace ?? "", etcd)),
    store: opened,
    clusterName,
    writer,
    runId,
    selection: etcd.memberSelection,
    hashKV: spec.verification.hashKV,
    compression: spec.compression,
    ...(spec.maxRate === undefined ? {} : { maxRate: byteRate(spec.maxRate, "spec.maxRate") }),
    timeLimit: {
      ms: spec.timeoutSeconds * 1000,
      timeoutName: "spec.timeoutSeconds",
      rateName: "spec.maxRate",
    },
    readBack: spec.verification.readBack,
    owner: {
      kind: backup.kind,
      namespace: metadata.namespace ?? "",
      name: metadata.name,
      uid: metadata.uid,
    },
    ...(series === undefined ? {} : { series }),
    tool: deps.tool,
    now: deps.now,
    signal,
    onStep: stepReporter(deps, { backup, runId, report }),
  });
  deps.catalogs.find(store)?.noteStored(manifest, deps.now());
  return { manifest, storeUrl: opened.url, storeLocation: opened.location };
}

/** The series of the schedule that created the EtcdBackup. Undefined for one that a person made. */
async function seriesOf(
  backup: EtcdBackup,
  { kubernetesCluster }: Pick<AttemptDeps, "kubernetesCluster">,
  signal: AbortSignal,
): Promise<Series | undefined> {
  const name = scheduleOf(backup);
  if (name === undefined) return undefined;
  return seriesOfSchedule(name, backup.metadata.namespace, await kubernetesCluster(signal));
}

/** All of spec.etcd that leads to the members. Which of them is read changes nothing of what they answer. */
function connectionOf(tenant: string, etcd: EtcdConnection): { tenant: string; connection: string } {
  const { memberSelection: _, ...connection } = etcd;
  return { tenant, connection: JSON.stringify(connection) };
}

/** Turns steps into reports and events. Reports progress every `reportEveryMs` at most, and at the last byte. */
function stepReporter(
  { events, log, now }: AttemptDeps,
  { backup, runId, report }: { backup: EtcdBackup; runId: string; report: ReportChange },
): (step: SaveStep) => void {
  const recorder = eventsOf<BackupEvent>(events, backup, "Backup");
  const subject = { backup: keyOf(backup.metadata), run: runId };
  let reportedAt = 0;
  return (step) => {
    if (step.step === "Streaming" || step.step === "ReadingBack") {
      const at = now().getTime();
      if (at - reportedAt < reportEveryMs && step.readBytes < step.totalBytes) return;
      reportedAt = at;
    }
    reportStep(step, report, recorder);
    if (step.step === "HashPause") log.debug({ ...subject, ...step }, "maxRate delays the next HashKV");
    else if (step.step !== "ReadingBack") log.debug({ ...subject, step: step.step }, "backup step");
  };
}

function reportStep(step: SaveStep, report: ReportChange, events: ObjectEvents<BackupEvent>): void {
  switch (step.step) {
    case "MemberSelected": {
      const { chosen, reason, withoutQuorum } = step.choice;
      report({ choice: step.choice });
      const note = `${chosen.name || chosen.id} at ${chosen.endpoint}: ${reason}`;
      if (withoutQuorum) events.warning("MemberSelected", note);
      else events.normal("MemberSelected", note);
      return;
    }
    case "HashesAgree":
      events.normal("MembersAgree", `HashKV is ${describeEqual(step)}`);
      return;
    case "HashesDisagree":
      events.warning(
        "MembersDisagree",
        `HashKV differs: ${describeGroups(step.groups)}; the snapshot is taken from ${step.member}, which the spec names`,
      );
      return;
    case "HashesUnknown":
      events.warning("MembersNotCompared", `HashKV could not be compared: ${step.reason}`);
      return;
    case "HashesNotNeeded":
      events.normal(
        "MembersNotCompared",
        `${step.member} is the only voting member; there is no other one to compare HashKV with`,
      );
      return;
    case "QuorumNotConfirmed":
      events.warning(
        "QuorumNotConfirmed",
        `after the last byte of the snapshot quorum could not be confirmed at ${step.member}: ${step.reason}; before the first byte there was quorum, and the snapshot is complete`,
      );
      return;
    case "HashPause":
      return;
    case "Streaming":
      report({ progress: { bytes: step.readBytes, totalBytes: step.totalBytes } });
      return;
    case "ReadingBack":
      return;
    default:
      step satisfies never;
  }
}
