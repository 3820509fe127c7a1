import { acceptedBackups, backup, refusedBackups } from "./cases-backup.ts";
import {
  type Acceptance,
  type Change,
  type Kind,
  type Refusal,
  type RefusedChange,
  type Spec,
  refusals,
  refusedChanges,
} from "./case.ts";

const kind: Kind = "EtcdBackupSchedule";

/** A schedule that a user would write, with changes. */
export function schedule(changes: Spec = {}): Spec {
  return { schedule: "0 */6 * * *", template: { spec: backup() }, ...changes };
}

const isForTemplate = ({ spec }: Acceptance) => "etcd" in spec && !("imported" in spec);
function inTemplate(backupSpec: Spec): Spec {
  const { deletionPolicy: _, ...spec } = backupSpec;
  return schedule({ template: { spec } });
}

/** Together they set every field of the kind. */
export const acceptedSchedules: Acceptance[] = [
  { name: "a minimal schedule", kind, spec: schedule() },
  {
    name: "a schedule with every setting of its own",
    kind,
    spec: {
      schedule: "@daily",
      timeZone: "Europe/Berlin",
      jitter: "90s",
      suspend: true,
      startingDeadlineSeconds: 3600,
      runImmediately: true,
      template: {
        metadata: { labels: { team: "a", "example.com/tier": "gold" }, annotations: { note: "any text" } },
        spec: backup(),
      },
      retention: {
        keepLast: 3,
        keepHourly: 24,
        keepDaily: 7,
        keepWeekly: 5,
        keepMonthly: 12,
        keepYearly: 10,
        keepWithin: "1y6m2w3d12h",
        adoptFrom: "6c7d4a44-0f5f-4ee3-9a3e-3c2f5f0c9f11",
      },
      successfulHistoryLimit: 0,
      failedHistoryLimit: 0,
    },
  },
  {
    name: "a schedule that adopts the backups of an unknown Kubernetes cluster",
    kind,
    spec: schedule({ retention: { adoptFrom: "unknown" } }),
  },
  ...acceptedBackups.filter(isForTemplate).map(({ name, spec }) => ({
    name: `a schedule of ${name}`,
    kind,
    spec: inTemplate(spec),
  })),
];

const schedules = (field: string, message: string, specs: Record<string, Spec>): Refusal[] =>
  refusals(kind, field, message, specs);

export const refusedSchedules: Refusal[] = [
  ...schedules("spec.schedule", "must have five fields", {
    "a schedule with seconds": schedule({ schedule: "0 0 0 * * *" }),
    "a schedule of an unknown name": schedule({ schedule: "@fortnightly" }),
    "a schedule of words": schedule({ schedule: "every day" }),
  }),
  ...schedules("spec.jitter", "must be seconds, minutes or hours", {
    "a jitter without a unit": schedule({ jitter: "300" }),
    "a jitter of days": schedule({ jitter: "1d" }),
    "a jitter of nothing": schedule({ jitter: "0s" }),
  }),
  ...schedules("spec.retention.keepWithin", "must be a time such as 36h", {
    "a keepWithin in words": schedule({ retention: { keepWithin: "two weeks" } }),
    "a keepWithin of nothing": schedule({ retention: { keepWithin: "0d" } }),
  }),
  ...schedules(
    "spec.retention.adoptFrom",
    "must be unknown, or the UID that `kubectl get namespace kube-system",
    {
      "an adoptFrom that names a cluster": schedule({ retention: { adoptFrom: "old-cluster" } }),
    },
  ),
  ...schedules(
    "spec.template.metadata.labels",
    "names that begin with etcdbackup.dev/ belong to the operator",
    {
      "a label of the operator": schedule({
        template: { metadata: { labels: { "etcdbackup.dev/schedule": "other" } }, spec: backup() },
      }),
    },
  ),
  ...schedules(
    "spec.template.metadata.labels[team]",
    "must be letters, digits, '.', '_' or '-', beginning and ending with a letter or digit",
    {
      "a label value that no label may have": schedule({
        template: { metadata: { labels: { team: "a b" } }, spec: backup() },
      }),
    },
  ),
  ...schedules("spec.template.metadata.labels.team", "Too long: may not be", {
    "a label value that is too long": schedule({
      template: { metadata: { labels: { team: "a".repeat(64) } }, spec: backup() },
    }),
  }),
  ...schedules(
    "spec.template.metadata.annotations",
    "names that begin with etcdbackup.dev/ belong to the operator",
    {
      "an annotation of the operator": schedule({
        template: { metadata: { annotations: { "etcdbackup.dev/trigger": "now" } }, spec: backup() },
      }),
    },
  ),
  ...refusedBackups
    .filter((one) => isForTemplate(one) && one.field !== "spec")
    .map(({ name, spec, field, message }) => ({
      name: `a schedule of ${name}`,
      kind,
      spec: inTemplate(spec),
      field: field.replace(/^spec/, "spec.template.spec"),
      message,
    })),
];

export const acceptedScheduleChanges: Change[] = [
  {
    name: "the times and the retention",
    kind,
    from: schedule(),
    to: schedule({ schedule: "@hourly", retention: { keepLast: 1 } }),
  },
  {
    name: "the store and the members",
    kind,
    from: schedule(),
    to: inTemplate(backup({ storeRef: { name: "other" }, etcd: { endpoints: ["https://10.0.0.13:2379"] } })),
  },
];

export const refusedScheduleChanges: RefusedChange[] = refusedChanges(
  kind,
  "cannot be changed, since retention would no longer find the backups made before",
  [
    [
      "the cluster name",
      "spec.template.spec.clusterName",
      schedule(),
      inTemplate(backup({ clusterName: "other" })),
    ],
  ],
);
