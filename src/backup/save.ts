import { type BackupName, dataObject, formatBackupName, manifestObject } from "../core/backup/name.ts";
import { OperatorError } from "../core/errors.ts";
import {
  type MemberChoice,
  type MemberFacts,
  type MemberSelection,
  chooseMember,
} from "../core/etcd/member-choice.ts";
import type { Store } from "../store/store.ts";
import { commit } from "./commit.ts";
import { compareMembers } from "./compare-members.ts";
import type { Manifest } from "./manifest/manifest.ts";
import { paced } from "./throttle.ts";
import { manifestVersion } from "./manifest/schema.ts";
import type { SaveStep, SnapshotCluster } from "./progress.ts";
import { type Transferred, hex8, transfer } from "./transfer.ts";

export interface SaveOptions {
  cluster: SnapshotCluster;
  store: Pick<Store, "put" | "get" | "head" | "remove" | "url">;
  clusterName: string;
  runId: string;
  selection: MemberSelection;
  hashKV: "WhenAvailable" | "Required" | "Skip";
  compression: "Zstd" | "None";
  readBack: boolean;
  /** Bytes a second that are taken from the member at most. */
  maxRate?: number;
  owner?: Manifest["owner"];
  tool: Manifest["tool"];
  now: () => Date;
  signal: AbortSignal;
  onStep?: (step: SaveStep) => void;
}

/**
 * From the members to the manifest: observe, choose, compare, stream, prove, record. Resolves to the manifest only
 * when it is in the store. On any failure nothing is left that a listing would show.
 */
export async function saveSnapshot(options: SaveOptions): Promise<Manifest> {
  const { cluster, store, clusterName, runId, selection, signal, now } = options;
  const step = options.onStep ?? (() => {});
  const startedAt = now();

  const { clusterId, members } = await cluster.observe(signal);
  const choice = chooseMember(members, selection);
  const { chosen } = choice;
  if (chosen === undefined) throw noMember(choice);
  step({ step: "MemberSelected", choice: { ...choice, chosen } });

  const hashKV = await compareMembers(members, chosen, choice.withoutQuorum, options);
  await using source = await cluster.snapshot(chosen, signal);
  const object = dataObject(clusterName, startedAt, runId, options.compression);
  const transferred = await transfer({
    source: paced(source, { maxRate: options.maxRate, signal }),
    store,
    object,
    compression: options.compression,
    signal,
    onProgress: (readBytes, totalBytes) => step({ step: "Streaming", readBytes, totalBytes }),
  });
  const name: BackupName = { time: startedAt, revision: transferred.status.revision, runId };
  const manifest = describe({ options, clusterId, chosen, choice, hashKV, transferred, name, startedAt });
  await commit({ ...options, manifest, object: manifestObject(clusterName, name), step });
  return manifest;
}

function noMember(choice: MemberChoice): OperatorError {
  // A name that no member has is a mistake that time does not mend.
  const unknownName = choice.reason.startsWith("no member is called");
  const rows = choice.refusals.map(({ member, reason }) => `${member.name || member.endpoint}: ${reason}`);
  const details = rows.length > 0 && !unknownName ? ` (${rows.join("; ")})` : "";
  const hint = unknownName
    ? "give one of these names, or none"
    : choice.reason.includes("quorum")
      ? "if the cluster is lost for good, allow a snapshot without quorum (--allow-without-quorum, spec.etcd.memberSelection.allowWithoutQuorum)"
      : "run `etcd-backup members` with the same endpoints to see each member";
  return new OperatorError("NoUsableMember", `${choice.reason}${details}`, { hint, permanent: unknownName });
}

function describe(run: {
  options: SaveOptions;
  clusterId: string;
  chosen: MemberFacts;
  choice: MemberChoice;
  hashKV: Manifest["hashKV"];
  transferred: Transferred;
  name: BackupName;
  startedAt: Date;
}): Manifest {
  const { options, chosen, choice, hashKV, name } = run;
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
    },
    ...(hashKV === undefined ? {} : { hashKV }),
    ...(options.owner === undefined ? {} : { owner: options.owner }),
    tool: options.tool,
  };
}
