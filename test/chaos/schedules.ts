import { setTimeout as delay } from "node:timers/promises";
import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";
import type { Random } from "../harness/random.ts";
import type { Bench } from "../support/bench.ts";
import { conditionOf, resourceObject } from "../support/custom-resources.ts";
import { eventually } from "../support/eventually.ts";
import type { CreatedBackup } from "./audit.ts";
import { type Round, kubectl, repairSeconds } from "./backups.ts";
import { saveDirectly } from "./direct-save.ts";
import type { StoredBackup } from "./removals.ts";
import { SeriesHistory, seriesText } from "./series-history.ts";
import type { Testbed } from "./testbed.ts";

/** The bucket and the EtcdBackupStore of the schedules. Both of them share one folder, with backups of others. */
const scheduledBucket = "scheduled";

/** `retention.keepLast` of each EtcdBackupSchedule. */
export const keptBySchedule = { minutely: 3, other: 2 } as const;
export type ScheduleName = keyof typeof keptBySchedule;
export const scheduleNames = Object.keys(keptBySchedule) as ScheduleName[];

/** Annotation from the template: a schedule that is made again under its name has another life. */
const lifeAnnotation = "chaos/life";

/** What an EtcdBackup of a schedule was created for. */
export interface ScheduledRun {
  schedule: string;
  life: string;
  /** The time of the schedule, or the token of a trigger. */
  cause: string;
}

export interface Schedules {
  readonly bucket: string;
  readonly history: SeriesHistory;
  /** Every EtcdBackup that was created for a schedule, by its UID, as the API server recorded it. */
  readonly runs: Map<string, ScheduledRun>;
  /** How often each schedule was made. */
  readonly lives: Record<ScheduleName, number>;
  /** The latest time that the clock of an operator has shown, in milliseconds since the epoch. */
  latestClock: number;
  /** UID of the namespace kube-system. */
  readonly kubernetesCluster: string;
}

/** Makes the store, the backups of others in its folder, and the schedules. The operators run. */
export async function startSchedules(
  bench: Bench,
  hasSucceeded: (owner: string | undefined) => boolean,
): Promise<Schedules> {
  const bucket = scheduledBucket;
  const history = new SeriesHistory({ raw: bench.raw, bucket, hasSucceeded });
  const { metadata } = await bench.kube.get<EtcdBackup>("namespace/kube-system");
  const kubernetesCluster = metadata.uid;
  const schedules: Schedules = {
    bucket,
    history,
    runs: new Map(),
    lives: { minutely: 0, other: 0 },
    latestClock: Date.now(),
    kubernetesCluster,
  };
  await bench.addStore(bucket);
  await bench.kube.wait(`etcdbackupstore/${bucket}`, "condition=Ready", { seconds: 60 });
  await bench.kube.apply(bench.backupObject("by-hand", bucket, { deletionPolicy: "Retain" }));
  const others = [
    undefined,
    { name: "minutely" },
    { name: "minutely", namespace: "default", kubernetesCluster: "11111111-1111-1111-1111-111111111111" },
    { name: "minutely", namespace: "elsewhere", kubernetesCluster },
    { name: "quiet", namespace: "default", kubernetesCluster },
  ];
  for (const [i, series] of others.entries())
    await saveDirectly(bench, {
      bucket,
      runId: `00000000000${i}`,
      now: () => new Date(),
      ...(series === undefined ? {} : { series }),
    });
  await bench.kube.wait("etcdbackup/by-hand", "condition=Finished", { seconds: 60 });
  for (const { manifest } of await history.look()) history.untouchable.add(manifest);
  await bench.kube.apply(...scheduleNames.map((name) => scheduleObject(bench, schedules, name)));
  return schedules;
}

/** The EtcdBackupSchedule for its next life. */
export function scheduleObject(bench: Bench, { bucket, lives }: Schedules, name: ScheduleName): object {
  lives[name] += 1;
  const template = {
    metadata: { annotations: { [lifeAnnotation]: String(lives[name]) } },
    spec: {
      clusterName: "prod",
      storeRef: { name: bucket },
      etcd: { endpoints: bench.etcd.endpoints },
      // The clocks jump by minutes, which must not be what ends a backup.
      timeoutSeconds: 3600,
      backoffLimit: 3,
      maxRate: "16Mi",
      verification: { hashKV: "Skip" },
    },
  };
  return resourceObject("EtcdBackupSchedule", name, {
    schedule: "* * * * *",
    ...(name === "other" ? { jitter: "5s" } : {}),
    retention: { keepLast: keptBySchedule[name] },
    template,
  });
}

/** Notes what an EtcdBackup was created for. */
export function noteRun({ runs }: Schedules, { uid, labels, annotations }: CreatedBackup): void {
  const schedule = labels?.["etcdbackup.dev/schedule"];
  if (schedule === undefined) return;
  const token = annotations?.["etcdbackup.dev/trigger"];
  const cause = token === undefined ? annotations?.["etcdbackup.dev/scheduled-at"] : `trigger ${token}`;
  runs.set(uid, { schedule, life: annotations?.[lifeAnnotation] ?? "", cause: cause ?? "" });
}

/** The backups of the schedule's series that have succeeded or are there, newest first, and those that are there. */
export function seriesOf(
  { history, kubernetesCluster }: Schedules,
  name: ScheduleName,
  { present, hasSucceeded }: { present: readonly StoredBackup[]; hasSucceeded: Testbed["hasSucceeded"] },
): { made: StoredBackup[]; left: StoredBackup[] } {
  const own = seriesText({ name, namespace: "default", kubernetesCluster });
  const newestFirst = (backups: Iterable<StoredBackup>) =>
    [...backups].filter(({ series }) => series === own).toSorted((a, b) => b.revision - a.revision);
  const left = newestFirst(present);
  const isThere = new Set(left.map(({ manifest }) => manifest));
  const made = newestFirst(history.ever.values()).filter(
    ({ manifest, owner }) => isThere.has(manifest) || hasSucceeded(owner),
  );
  return { made, left };
}

/** What is left of a series at rest, and what its policy says: of `keepLast` backups the highest revisions. */
export function leftAndKept(
  name: ScheduleName,
  { made, left }: ReturnType<typeof seriesOf>,
): { left: number[]; kept: number[] } {
  const revisions = (backups: readonly StoredBackup[]) => backups.map(({ revision }) => revision);
  return { left: revisions(left), kept: revisions(made.slice(0, keptBySchedule[name])) };
}

/** Changes a schedule as a person does, also one that is just being made again. */
export async function patchSchedule(
  testbed: Pick<Testbed, "bench">,
  name: ScheduleName,
  patch: { spec?: object; trigger?: string },
): Promise<void> {
  const { spec, trigger } = patch;
  const metadata =
    trigger === undefined ? {} : { metadata: { annotations: { "etcdbackup.dev/trigger": trigger } } };
  const merge = JSON.stringify({ ...metadata, ...(spec === undefined ? {} : { spec }) });
  await kubectl(testbed, ["patch", "etcdbackupschedule", name, "--type=merge", "-p", merge]);
}

/** Each backup of a round should have a revision of its own. */
async function putKey({ bench }: Testbed, value: string): Promise<void> {
  // A put without quorum fails, which is expected.
  await bench.etcd.etcdctl(["put", "/scheduled", value]).catch(() => "");
}

/** The schedules run during a round, and persons trigger them. */
export async function playSchedules(
  testbed: Testbed,
  random: Random,
  { number, note }: Round,
): Promise<void> {
  for (const name of scheduleNames) await patchSchedule(testbed, name, { spec: { suspend: false } });
  const count = 1 + random.below(3);
  for (let i = 0; i < count; i += 1) {
    await delay(random.below(4_000));
    const token = `r${number}-${i}`;
    await putKey(testbed, token);
    const names = random.oneIn(2) ? scheduleNames : [random.pick(scheduleNames)];
    for (const name of names) await patchSchedule(testbed, name, { trigger: token });
    note(`triggered ${names.join(" and ")}: ${token}`);
  }
}

/** After the faults: the schedules are suspended, run once more by a trigger, and retention has its last word. */
export async function settleSchedules(testbed: Testbed, { number, note }: Round): Promise<void> {
  const token = `r${number}-last`;
  // Retention acts after the success with the latest time. A clock that was ahead has given one a time that is to come.
  await setClocks(testbed, Math.max(0, testbed.schedules.latestClock - Date.now()));
  await putKey(testbed, token);
  for (const name of scheduleNames)
    await patchSchedule(testbed, name, { spec: { suspend: true }, trigger: token });
  let open: string[] = [];
  await eventually(
    `the schedules have run for the trigger ${token}, and hold what their policies say`,
    async () => {
      open = await unsettled(testbed, token);
      return open.length === 0;
    },
    repairSeconds,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}; open:\n${open.join("\n")}`);
  });
  await setClocks(testbed, 0);
  note("the schedules are settled");
}

async function setClocks({ replicas }: Testbed, aheadMs: number): Promise<void> {
  for (const replica of replicas) await replica.setClock(aheadMs);
}

/** What a schedule still has to do, a line each. */
async function unsettled(testbed: Testbed, token: string): Promise<string[]> {
  const { schedules, hasSucceeded, allBackups } = testbed;
  const backups = await allBackups();
  const present = await schedules.history.look();
  return scheduleNames.flatMap((name) => {
    const last = backups.find(({ metadata: { labels, annotations } }) => {
      const isOf = labels?.["etcdbackup.dev/schedule"] === name;
      return isOf && annotations?.["etcdbackup.dev/trigger"] === token;
    });
    if (last === undefined) return `${name} has no EtcdBackup for the trigger`;
    if (conditionOf(last, "Succeeded")?.status !== "True")
      return `${last.metadata.name} has not succeeded: ${JSON.stringify(last.status)}`;
    const { left, kept } = leftAndKept(name, seriesOf(schedules, name, { present, hasSucceeded }));
    const isAsKept = JSON.stringify(left) === JSON.stringify(kept);
    return isAsKept ? [] : `${name} has the revisions ${left.join(", ")}, and keeps ${kept.join(", ")}`;
  });
}
