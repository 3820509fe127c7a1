import type { RestoreReason } from "../../api/v1alpha1/conditions.ts";
import type { EtcdRestore, EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";
import { canBumpRevision, isLaterMinor, minorOf, parseEtcdVersion } from "../../core/etcd/version.ts";
import { OperatorError } from "../../core/errors.ts";
import { bytes } from "../../core/human.ts";
import { parseQuantity } from "../../core/quantity.ts";
import { targetExists } from "../../core/restore/decide.ts";
import type { RestoreReport, RestoreResult, VerifiedSource } from "../../core/restore/observed.ts";
import {
  clientServiceName,
  peerServiceName,
  restoreLabel,
  targetVersion,
  volumeName,
} from "../../core/restore/names.ts";
import { findBackup } from "../../backup/catalog/find.ts";
import type { Manifest } from "../../backup/manifest/manifest.ts";
import { readRestoreRecord } from "../../backup/catalog/restore-record.ts";
import { describeFailures, verifyStored } from "../../backup/verify.ts";
import { keyOf } from "../reconciler.ts";
import type { RestoreWorkDeps, TargetKind } from "./context.ts";
import { sourceOf } from "./source.ts";

/** Bytes for the first WAL segment and the other files that etcd writes at its start. */
const headroom = 128 * 1024 * 1024;

/** Reads the whole backup. Refuses a restore that cannot succeed, before any object is created. */
export async function verifyBackup(
  deps: RestoreWorkDeps,
  restore: EtcdRestore,
  report: (change: Partial<RestoreReport>) => void,
  signal: AbortSignal,
): Promise<RestoreResult> {
  return { step: "verify", found: await verify(deps, restore, report, signal) };
}

async function verify(
  { resources, openStore, factsOf, operatorImage, log }: RestoreWorkDeps,
  restore: EtcdRestore,
  report: (change: Partial<RestoreReport>) => void,
  signal: AbortSignal,
): Promise<VerifiedSource> {
  const { store, clusterName, backup } = await sourceOf(restore, resources, signal);
  await using opened = await openStore(store, signal);
  const { uid } = restore.metadata;
  const record = await readRestoreRecord(opened, { clusterName, uid, signal });
  if (record !== undefined) return { is: "restoredBefore", completedAt: record.completedAt };
  const { jobRefusal } = factsOf(store);
  if (jobRefusal !== undefined) throw jobRefusal;
  if (operatorImage === undefined) {
    throw new OperatorError("InvalidConfiguration", "the operator does not know its own image", {
      hint: "start the operator with --image, as the chart does: the members' Jobs run this image",
    });
  }
  const { manifest, warning } = await findBackup(opened, { name: backup, clusterName, signal });
  if (warning !== undefined)
    log.warn({ restore: keyOf(restore.metadata), warning }, "going on without a record");
  const refusal = refusalBySpec(restore, manifest) ?? (await refusalByNames(restore, resources, signal));
  if (refusal !== undefined) return { is: "refused", ...refusal };
  const { checks } = await verifyStored(opened, manifest, {
    signal,
    onProgress: (done, totalBytes) => report({ read: { bytes: done, totalBytes } }),
  });
  const failures = describeFailures(checks);
  if (failures !== undefined)
    return { is: "refused", reason: "BackupDamaged", message: `backup ${manifest.name}: ${failures}` };
  return { is: "good", source: sourceStatus(manifest, store.metadata.name, opened.url) };
}

type Refusal = { reason: RestoreReason; message: string };

/** Refuses an etcd version that cannot read the backup or bump its revision, and volumes that are too small. */
function refusalBySpec(restore: EtcdRestore, { member, snapshot }: Manifest): Refusal | undefined {
  const target = parseEtcdVersion(targetVersion(restore));
  const source = parseEtcdVersion(member.version);
  const { image, storage } = restore.spec.target.cluster;
  if (target !== undefined && source !== undefined && isLaterMinor(source, target)) {
    const message = `the backup is of etcd ${member.version}, and ${image} has etcd ${minorOf(target)}: use an image with etcd ${minorOf(source)} or later`;
    return { reason: "VersionTooOld", message };
  }
  if (restore.spec.revisionBump > 0 && target !== undefined && !canBumpRevision(target)) {
    const message = `etcd ${targetVersion(restore)} cannot bump revisions (3.4.27, 3.5.10 and 3.6.0 can): use a later patch release, or set spec.revisionBump to 0 if no client watches this cluster`;
    return { reason: "VersionTooOld", message };
  }
  const neededBytes = 2 * snapshot.totalSizeBytes + headroom;
  const volumeBytes = parseQuantity(storage.size) ?? 0;
  if (volumeBytes >= neededBytes) return undefined;
  const message = `the backup of ${bytes(snapshot.totalSizeBytes)} needs ${bytes(neededBytes)} while it is restored, and spec.target.cluster.storage.size is ${storage.size}`;
  return { reason: "StorageTooSmall", message };
}

/** Refuses when an object of another owner has a name that the new cluster needs. */
async function refusalByNames(
  restore: EtcdRestore,
  resources: RestoreWorkDeps["resources"],
  signal: AbortSignal,
): Promise<Refusal | undefined> {
  const { name, replicas } = restore.spec.target.cluster;
  const namespace = restore.metadata.namespace ?? "default";
  const names: [TargetKind, string][] = [
    ["StatefulSet", name],
    ["PodDisruptionBudget", name],
    ["Service", peerServiceName(restore)],
    ["Service", clientServiceName(restore)],
    ...Array.from({ length: replicas }, (_, i): [TargetKind, string] => [
      "PersistentVolumeClaim",
      volumeName(restore, i),
    ]),
  ];
  for (const [kind, objectName] of names) {
    const object = await resources.find(kind, { namespace, name: objectName }, signal);
    if (object !== undefined && object.labels[restoreLabel] !== restore.metadata.uid)
      return targetExists(`${kind} ${objectName}`);
  }
  return undefined;
}

function sourceStatus(
  manifest: Manifest,
  storeName: string,
  storeUrl: string,
): NonNullable<EtcdRestoreStatus["source"]> {
  const { snapshot, stored, member, cluster, name } = manifest;
  return {
    name,
    clusterName: cluster.name,
    clusterID: cluster.id,
    storeRef: { name: storeName },
    url: `${storeUrl}/${stored.object}`,
    revision: snapshot.revision,
    hash: Number.parseInt(snapshot.hash, 16).toString(16),
    sha256: snapshot.sha256,
    totalSizeBytes: snapshot.totalSizeBytes,
    size: bytes(snapshot.totalSizeBytes),
    etcdVersion: member.version,
    liveKeys: snapshot.liveKeys,
  };
}
