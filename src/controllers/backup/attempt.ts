import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import { byteRate } from "../../core/byte-rate.ts";
import { deadlineOf } from "../../core/backup/decide.ts";
import { OperatorError, asOperatorError } from "../../core/errors.ts";
import type { MemberChoice, MemberFacts } from "../../core/etcd/member-choice.ts";
import type { Manifest } from "../../backup/manifest/manifest.ts";
import { saveSnapshot } from "../../backup/save.ts";
import type { SaveStep, SnapshotCluster } from "../../backup/progress.ts";
import type { Store } from "../../store/store.ts";
import { clearEarlier } from "./sweep.ts";
import type { EventSink } from "../events.ts";
import type { Log } from "../reconciler.ts";
import type { Turns } from "../keyed-mutex.ts";

/** What a run under way lets the reconciler see. */
export interface BackupReport {
  choice?: MemberChoice & { chosen: MemberFacts };
  progress?: { bytes: number; totalBytes: number };
}

export interface BackupResult {
  manifest: Manifest;
  storeUrl: string;
}

export type StartBackupRun = (attempt: {
  backup: EtcdBackup;
  store: EtcdBackupStore;
  runId: string;
}) => (report: (change: Partial<BackupReport>) => void, signal: AbortSignal) => Promise<BackupResult>;

export interface BackupRunDeps {
  openStore(store: EtcdBackupStore, signal: AbortSignal): Promise<Store>;
  openCluster(backup: EtcdBackup, signal: AbortSignal): Promise<SnapshotCluster & AsyncDisposable>;
  /** One stream a member, whoever asked for it. */
  streams: Turns;
  events: EventSink;
  tool: Manifest["tool"];
  now: () => Date;
  log: Log;
}

const reportEveryMs = 2_000;

/** One attempt at an EtcdBackup: the same save as on the command line, bounded by the resource's timeout. */
export function backupRunner(deps: BackupRunDeps): StartBackupRun {
  return ({ backup, store, runId }) =>
    async (report, cancelled) => {
      const { spec, metadata } = backup;
      const log = { backup: `${metadata.namespace}/${metadata.name}`, run: runId };
      const left =
        deadlineOf(spec.timeoutSeconds, backup.status, deps.now()).getTime() - deps.now().getTime();
      const late = AbortSignal.timeout(Math.max(1, left));
      const signal = AbortSignal.any([cancelled, late]);
      try {
        await using opened = await deps.openStore(store, signal);
        // A store that cannot be used is found out before any member is asked for anything.
        await opened.probe({ signal, write: false });
        if ((backup.status.attempts ?? 0) > 1) await clearEarlier(opened, backup, { ...deps, signal });
        await using cluster = await deps.openCluster(backup, signal);
        let reported = 0;
        const onStep = (step: SaveStep) => {
          if (step.step === "Streaming" || step.step === "ReadingBack") {
            const now = deps.now().getTime();
            if (now - reported < reportEveryMs && step.readBytes < step.totalBytes) return;
            reported = now;
          }
          tell(step, { backup, report, events: deps.events });
          if (step.step !== "ReadingBack") deps.log.debug({ ...log, step: step.step }, "backup step");
        };
        const manifest = await saveSnapshot({
          cluster: oneStreamAMember(cluster, deps.streams),
          store: opened,
          clusterName: spec.clusterName,
          runId,
          selection: spec.etcd.memberSelection,
          hashKV: spec.verification.hashKV,
          compression: spec.compression,
          ...(spec.maxRate === undefined ? {} : { maxRate: byteRate(spec.maxRate, "spec.maxRate") }),
          readBack: spec.verification.readBack,
          owner: {
            kind: backup.kind,
            namespace: metadata.namespace ?? "",
            name: metadata.name,
            uid: metadata.uid,
          },
          tool: deps.tool,
          now: deps.now,
          signal,
          onStep,
        });
        return { manifest, storeUrl: opened.url };
      } catch (error) {
        if (late.aborted && !cancelled.aborted) {
          throw new OperatorError("Timeout", "stopped when the time was up", {
            hint: "raise spec.timeoutSeconds, or see what is slow in the events",
            cause: error,
            outcomeUnknown: asOperatorError(error).outcomeUnknown,
          });
        }
        throw error;
      }
    };
}

function tell(
  step: SaveStep,
  {
    backup,
    report,
    events,
  }: { backup: EtcdBackup; report: (change: Partial<BackupReport>) => void; events: EventSink },
): void {
  switch (step.step) {
    case "MemberSelected": {
      const { chosen, reason, withoutQuorum } = step.choice;
      report({ choice: step.choice });
      events.record({
        regarding: backup,
        type: withoutQuorum ? "Warning" : "Normal",
        reason: "MemberSelected",
        action: "Backup",
        note: `${chosen.name || chosen.id} at ${chosen.endpoint}: ${reason}`,
      });
      return;
    }
    case "HashesAgree":
      events.record({
        regarding: backup,
        type: "Normal",
        reason: "MembersAgree",
        action: "Backup",
        note: `HashKV is equal on ${step.members.join(", ")} at revision ${step.revision}`,
      });
      return;
    case "HashesDisagree":
      events.record({
        regarding: backup,
        type: "Warning",
        reason: "MembersDisagree",
        action: "Backup",
        note: `${step.groups}; ${step.member} was asked for by name`,
      });
      return;
    case "HashesUnknown":
      events.record({
        regarding: backup,
        type: "Warning",
        reason: "MembersNotCompared",
        action: "Backup",
        note: step.reason,
      });
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

/** Holds the member's turn from before its stream opens until its last byte, or its end. */
function oneStreamAMember(cluster: SnapshotCluster, streams: Turns): SnapshotCluster {
  return {
    observe: (signal) => cluster.observe(signal),
    hashKV: (endpoint, revision, options) => cluster.hashKV(endpoint, revision, options),
    async snapshot(member, signal) {
      const end = await streams.take(member.id || member.endpoint, signal);
      try {
        const stream = await cluster.snapshot(member, signal);
        return {
          totalBytes: stream.totalBytes,
          chunks: untilEnd(stream.chunks, end),
          async [Symbol.asyncDispose]() {
            end();
            await stream[Symbol.asyncDispose]();
          },
        };
      } catch (error) {
        end();
        throw error;
      }
    },
  };
}

/** Reading back from the store needs no member: its turn ends with its last byte. */
async function* untilEnd(chunks: AsyncIterable<Uint8Array>, end: () => void): AsyncGenerator<Uint8Array> {
  yield* chunks;
  end();
}
