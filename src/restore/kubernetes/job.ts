import { type JobBlueprint, type RestoreObject, metadataOf, ownerOf } from "./blueprint.ts";
import type { JobStore, StoreMount } from "../../core/store/job-store.ts";
import { jobName, memberName, membershipOf, targetVersion, volumeName } from "../../core/restore/names.ts";
import { restoreArguments } from "../tool-arguments.ts";
import { workLayout } from "../work-layout.ts";
import { containerDefaults, dataDir, mountPath, podDefaults, podMetadata } from "./pod.ts";

/** What each container of one member's Job is made from. */
interface MemberJob extends JobBlueprint {
  index: number;
  name: string;
  /** `<cluster>/<name>` */
  backup: string;
}

/**
 * The Job of one member: fetches and verifies the backup, restores it with the tool of the target's image, places the
 * data.
 */
export function memberJob(blueprint: JobBlueprint, index: number, attempt: number): RestoreObject {
  const { restore, source, store } = blueprint;
  const backup = `${source.clusterName}/${source.name}`;
  const job: MemberJob = { ...blueprint, index, name: memberName(restore, index), backup };
  return {
    metadata: metadataOf(restore, jobName(restore, index, attempt), [ownerOf(restore)]),
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
          initContainers: [fetchContainer(job), restoreContainer(job)].map(withVolumes(store.mounts)),
          containers: [placeContainer(job)].map(withVolumes([])),
          volumes: [
            { name: "data", persistentVolumeClaim: { claimName: volumeName(restore, index) } },
            ...store.mounts.map(({ name, volume }) => ({ name, ...volume })),
          ],
        },
      },
    },
  };
}

function fetchContainer(job: MemberJob): object {
  const { backup, source, store } = job;
  const args = ["--backup", backup, "--sha256", source.sha256, ...store.flags];
  return { ...stepContainer(job, "fetch", args), env: environmentOf(store) };
}

function environmentOf({ variables, secretVariables }: JobStore): object[] {
  return [
    ...secretVariables.map(({ name, secret, optional }) => ({
      name,
      valueFrom: { secretKeyRef: { name: secret, key: name, ...(optional ? { optional } : {}) } },
    })),
    // Kubernetes expands $(NAME) in a value, and writes $ for $$.
    ...Object.entries(variables).map(([name, value]) => ({ name, value: value.replaceAll("$", "$$$$") })),
  ];
}

function restoreContainer({ restore, name, index, token }: MemberJob): object {
  const { cluster } = restore.spec.target;
  const { peerUrls, initialCluster } = membershipOf(restore);
  const work = workLayout({ dataDir }, restore.metadata.uid);
  const restored = { snapshot: work.snapshot, dataDir: work.dataDir, bump: restore.spec.revisionBump };
  return {
    name: "restore",
    image: cluster.image,
    imagePullPolicy: cluster.imagePullPolicy,
    command: [
      targetVersion(restore).startsWith("3.4.") ? "etcdctl" : "etcdutl",
      ...restoreArguments({ ...restored, name, peerUrls: peerUrls(index), initialCluster, token }),
    ],
    env: [{ name: "ETCDCTL_API", value: "3" }],
    ...containerDefaults(restore),
  };
}

function placeContainer(job: MemberJob): object {
  return stepContainer(job, "place", ["--member", job.name, "--token", job.token, "--backup", job.backup]);
}

/** A container that runs one step of this program. */
function stepContainer({ restore, operatorImage }: MemberJob, name: string, args: string[]): object {
  const { imagePullPolicy } = restore.spec.target.cluster;
  return {
    name,
    image: operatorImage,
    imagePullPolicy,
    args: ["restore-step", name, "--id", restore.metadata.uid, "--data-dir", dataDir, ...args],
    ...containerDefaults(restore),
  };
}

const withVolumes = (mounts: readonly StoreMount[]) => (container: object) => ({
  ...container,
  volumeMounts: [
    { name: "data", mountPath },
    ...mounts.map(({ name, path }) => ({ name, mountPath: path, readOnly: true })),
  ],
});
