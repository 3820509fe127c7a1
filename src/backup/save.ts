import { type BackupName, dataObject, formatBackupName, manifestObject } from "../core/backup/name.ts";
import { hex8 } from "../core/hex.ts";
import type { ChosenMember, MemberSelection } from "../core/etcd/member-choice.ts";
import type { Series } from "../core/backup/series.ts";
import { type TimeLimit, checkReadTime } from "../core/read-time.ts";
import type { Store } from "../store/store.ts";
import type { Agreements } from "./agreements.ts";
import { commit } from "./commit.ts";
import { compareMembers } from "./compare-members.ts";
import { confirmMember, openSource } from "./confirm-member.ts";
import { type FolderUser, enterFolder } from "./folder.ts";
import type { Manifest } from "./manifest/manifest.ts";
import { throttled } from "./throttle.ts";
import { manifestVersion } from "./manifest/schema.ts";
import type { SaveStep } from "./progress.ts";
import type { SnapshotCluster } from "./source.ts";
import { type Transferred, transfer } from "./transfer.ts";
import { type Turns, takeTurn } from "./turn.ts";

export interface SaveOptions {
  cluster: SnapshotCluster;
  store: Pick<Store, "put" | "get" | "head" | "list" | "remove" | "url">;
  clusterName: string;
  runId: string;
  selection: MemberSelection;
  hashKV: "WhenAvailable" | "Required" | "Skip";
  compression: "Zstd" | "None";
  readBack: boolean;
  /** Of the operator that holds the folder. Absent: a command line. */
  writer?: NonNullable<FolderUser["writer"]>;
  /** Absent: this process makes no other backup. */
  turns?: Turns;
  /** The most bytes a second to read from the member, and of the comparison's reads; no limit when absent. */
  maxRate?: number;
  /** Refuses a maxRate by which the save cannot end in time. The deadline itself is that of the signal. */
  timeLimit?: TimeLimit;
  /** The agreements of HashKV that may be reused. Absent: the members are compared. */
  agreements?: Agreements;
  owner?: Manifest["owner"];
  /** Absent: retention never removes the backup. */
  series?: Series;
  tool: Manifest["tool"];
  now: () => Date;
  signal: AbortSignal;
  onStep?: (step: SaveStep) => void;
}

/**
 * Makes one backup: takes its turn, enters the folder, observes and compares the members, reads the snapshot from one of
 * them, verifies it, stores it and writes the manifest. Resolves to the manifest when the store holds it. After a failure
 * no listing shows a backup, unless the error has `outcomeUnknown`. Throws FolderClaimed for the folder of another cluster
 * or writer. The backup's time is that of the stream, not of the waiting before.
 */
export async function saveSnapshot(options: SaveOptions): Promise<Manifest> {
  const { store, clusterName, runId, signal, now } = options;
  const step = options.onStep ?? (() => {});

  using turn = await takeTurn(options);
  const { clusterId } = turn;
  const { chosen } = turn.choice;
  const folder = await enterFolder(options, clusterId, signal);
  step({ step: "MemberSelected", choice: turn.choice });
  checkReadTime(chosen.dbSize, options, { what: `the database of ${chosen.name || chosen.endpoint}` });
  const hashKV = await compareMembers(turn, options);
  const choice = await confirmMember(turn, options);
  if (choice.reason !== turn.choice.reason) step({ step: "MemberSelected", choice });

  const startedAt = now();
  await using source = await openSource({ clusterId, choice, release: turn.release }, options);
  const transferred = await transfer({
    source: throttled(source, { maxRate: options.maxRate, signal }),
    store,
    object: dataObject(clusterName, startedAt, runId, options.compression),
    compression: options.compression,
    signal,
    onProgress: (readBytes, totalBytes) => step({ step: "Streaming", readBytes, totalBytes }),
  });
  const name: BackupName = { time: startedAt, revision: transferred.status.revision, runId };
  const manifest = buildManifest({ options, clusterId, choice, hashKV, transferred, name, startedAt });
  // A member that is selected by name or without quorum may lag behind an earlier backup.
  const mayLag = choice.withoutQuorum || options.selection.name !== undefined;
  const confirm = () => folder.confirm({ revision: name.revision, mayLag }, signal);
  await commit({ ...options, manifest, object: manifestObject(clusterName, name), confirm, step });
  return manifest;
}

function buildManifest(run: {
  options: SaveOptions;
  clusterId: string;
  choice: ChosenMember;
  hashKV: Manifest["hashKV"];
  transferred: Transferred;
  name: BackupName;
  startedAt: Date;
}): Manifest {
  const { options, choice, hashKV, name } = run;
  const { chosen } = choice;
  const { status, sha256, crc32c, stored } = run.transferred;
  return {
    formatVersion: manifestVersion,
    name: formatBackupName(name),
    cluster: { name: options.clusterName, id: run.clusterId },
    run: {
      id: options.runId,
      startedAt: run.startedAt.toISOString(),
      completedAt: options.now().toISOString(),
    },
    member: {
      id: chosen.id,
      name: chosen.name,
      endpoint: chosen.endpoint,
      version: chosen.version,
      isLeader: chosen.isLeader,
      lag: chosen.lag,
      reason: choice.reason.slice(0, 512),
    },
    snapshot: {
      revision: status.revision,
      hash: hex8(status.hash),
      totalKeys: status.totalKeys,
      pairs: status.pairs,
      liveKeys: status.liveKeys,
      totalSizeBytes: status.totalSize,
      pageSize: status.pageSize,
      storageVersion: status.storageVersion,
      sha256,
      crc32c,
      withoutQuorum: choice.withoutQuorum,
    },
    stored: {
      object: stored.name,
      bytes: stored.size,
      sha256: stored.sha256,
      crc32c: stored.crc32c,
      compression: options.compression,
      proof: stored.proof,
      ...(stored.frames === undefined ? {} : { frames: stored.frames }),
    },
    ...(hashKV === undefined ? {} : { hashKV }),
    ...(options.owner === undefined ? {} : { owner: options.owner }),
    ...(options.series === undefined ? {} : { series: options.series }),
    tool: options.tool,
  };
}
