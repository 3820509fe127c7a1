import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import { OperatorError } from "../../core/errors.ts";
import { type RestoreBlueprint, type RestoreObject, metadataOf } from "./blueprint.ts";
import { jobName, memberName, membershipOf, targetVersion, volumeName } from "../../core/restore/names.ts";
import { restoreArguments } from "../tool.ts";
import { containerDefaults, dataDir, mountPath, podDefaults, podMetadata } from "./pod.ts";

const storeCaPath = "/etc/etcd-backup/store-ca";

/**
 * The Job of one member: fetches and verifies the backup, restores it with the tool of the target's image, places the
 * data.
 */
export function memberJob(blueprint: RestoreBlueprint, index: number, attempt: number): RestoreObject {
  const { restore, store, source, operatorImage } = blueprint;
  const { cluster } = restore.spec.target;
  const workDir = `${dataDir}/.restoring-${restore.metadata.uid}`;
  const step = (name: string, args: string[]) => ({
    name,
    image: operatorImage,
    imagePullPolicy: cluster.imagePullPolicy,
    args: ["restore-step", name, "--id", restore.metadata.uid, "--data-dir", dataDir, ...args],
    ...containerDefaults(restore),
  });
  const tool = targetVersion(restore).startsWith("3.4.") ? "etcdctl" : "etcdutl";
  const { peerUrls, initialCluster } = membershipOf(restore);
  const name = memberName(restore, index);
  const backup = `${source.clusterName}/${source.name}`;
  const fetch = {
    ...step("fetch", ["--backup", backup, "--sha256", source.sha256, ...storeFlags(store)]),
    env: storeEnv(store),
  };
  const restoreData = {
    name: "restore",
    image: cluster.image,
    imagePullPolicy: cluster.imagePullPolicy,
    command: [
      tool,
      ...restoreArguments({
        name,
        peerUrls: peerUrls(index),
        initialCluster,
        snapshot: `${workDir}/snapshot.db`,
        dataDir: `${workDir}/data`,
        token: blueprint.token,
        bump: restore.spec.revisionBump,
      }),
    ],
    env: [{ name: "ETCDCTL_API", value: "3" }],
    ...containerDefaults(restore),
  };
  const place = step("place", ["--member", name, "--token", blueprint.token, "--backup", backup]);
  const caSecret = store.spec.s3?.caBundleSecretRef?.name;
  const { metadata } = restore;
  const owner = {
    apiVersion: restore.apiVersion,
    kind: restore.kind,
    name: metadata.name,
    uid: metadata.uid,
    controller: true,
  };
  return {
    metadata: { ...metadataOf(restore, jobName(restore, index, attempt)), ownerReferences: [owner] },
    spec: {
      // The operator makes the attempts itself: it records why one failed before it creates the next Job.
      backoffLimit: 0,
      // A finished Pod blocks the deletion of its volume.
      ttlSecondsAfterFinished: 300,
      template: {
        metadata: podMetadata(restore, "restore"),
        spec: {
          ...podDefaults(restore),
          restartPolicy: "Never",
          initContainers: [fetch, restoreData].map(withVolumes(caSecret)),
          containers: [place].map(withVolumes(undefined)),
          volumes: [
            { name: "data", persistentVolumeClaim: { claimName: volumeName(restore, index) } },
            ...(caSecret === undefined ? [] : [{ name: "store-ca", secret: { secretName: caSecret } }]),
          ],
        },
      },
    },
  };
}

/** The flags of the fetch step for the store. Its credentials come from the Secret, as environment variables. */
function storeFlags({ spec }: EtcdBackupStore): string[] {
  const { s3 } = spec;
  if (s3 === undefined) throw fileStore();
  const settings = [
    ...(s3.endpoint === undefined ? [] : [`endpoint=${encodeURIComponent(s3.endpoint)}`]),
    ...(s3.region === undefined ? [] : [`region=${encodeURIComponent(s3.region)}`]),
    ...(s3.forcePathStyle ? ["pathStyle=true"] : []),
  ];
  const folder = s3.prefix === undefined ? s3.bucket : `${s3.bucket}/${s3.prefix}`;
  const query = settings.length === 0 ? "" : `?${settings.join("&")}`;
  const ca = s3.caBundleSecretRef === undefined ? [] : ["--store-ca", `${storeCaPath}/ca.crt`];
  return ["--store", `s3://${folder}${query}`, ...ca];
}

/** The error for a `file` store: the Jobs' Pods do not mount a directory of the operator's Pod. */
export function fileStore(): OperatorError {
  return new OperatorError(
    "InvalidConfiguration",
    "an EtcdRestore needs an s3 store: the members' Jobs cannot read a directory of the operator",
    {
      hint: "restore with `etcd-backup restore` where the directory is mounted, or copy the backup to a bucket",
    },
  );
}

function storeEnv({ spec }: EtcdBackupStore): object[] {
  const name = spec.s3?.credentialsSecretRef?.name;
  if (name === undefined) return [];
  const fromSecret = (key: string, optional: boolean) => ({
    name: key,
    valueFrom: { secretKeyRef: { name, key, ...(optional ? { optional } : {}) } },
  });
  return [
    fromSecret("AWS_ACCESS_KEY_ID", false),
    fromSecret("AWS_SECRET_ACCESS_KEY", false),
    fromSecret("AWS_SESSION_TOKEN", true),
  ];
}

const withVolumes = (caSecret: string | undefined) => (container: object) => ({
  ...container,
  volumeMounts: [
    { name: "data", mountPath },
    ...(caSecret === undefined ? [] : [{ name: "store-ca", mountPath: storeCaPath, readOnly: true }]),
  ],
});
