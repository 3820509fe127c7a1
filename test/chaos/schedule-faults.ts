import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupSchedule } from "../../src/api/v1alpha1/etcd-backup-schedule.ts";
import { conditionOf } from "../support/custom-resources.ts";
import { eventually, retry } from "../support/eventually.ts";
import { startOperator } from "../support/operator-process.ts";
import { auditedGroup } from "./audit.ts";
import { kubectl, remove, repairSeconds } from "./backups.ts";
import { type Fault, seconds } from "./fault.ts";
import { leaseSeconds } from "./replica.ts";
import { patchSchedule, scheduleNames, scheduleObject } from "./schedules.ts";
import type { Testbed } from "./testbed.ts";

const minuteMs = 60_000;
/** The operator compares its clocks every 10 s. */
const noticedWithin = { from: 4, to: 12 };

/** What persons do to schedules, and what keeps their EtcdBackups from being created. */
export const onSchedules: Fault[] = [
  {
    name: "a schedule is suspended and resumed",
    on: "schedules",
    async inflict(testbed, random) {
      const name = random.pick(scheduleNames);
      for (const suspend of [true, false, true, false]) {
        await patchSchedule(testbed, name, { spec: { suspend } });
        await seconds(random, 0, 3);
      }
    },
  },
  {
    name: "the expression and the zone of a schedule are changed",
    on: "schedules",
    async inflict(testbed, random) {
      const name = random.pick(scheduleNames);
      const other = { schedule: "*/2 * * * *", timeZone: "Asia/Kathmandu" };
      for (const spec of [other, { schedule: "* * * * *", timeZone: "UTC" }]) {
        await patchSchedule(testbed, name, { spec });
        await seconds(random, 0, 5);
      }
    },
  },
  {
    name: "a schedule is deleted and made again under its name",
    on: "schedules",
    async inflict(testbed, random, _, { note }) {
      const { bench, schedules } = testbed;
      const name = random.pick(scheduleNames);
      await kubectl(testbed, ["delete", "etcdbackupschedule", name, "--wait=false", "--ignore-not-found"]);
      await seconds(random, 0, 4);
      const object = scheduleObject(bench, schedules, name);
      await retry(`${name} is made again`, () => bench.kube.apply(object), repairSeconds);
      note(`${name} lives for the ${schedules.lives[name]}. time`);
    },
  },
  {
    name: "a person deletes the EtcdBackup of a schedule while it runs",
    on: "schedules",
    async inflict(testbed, random, _, { note, number }) {
      const name = random.pick(scheduleNames);
      await patchSchedule(testbed, name, { trigger: `r${number}-deleted` });
      const active = await activeOf(testbed, name);
      if (active === undefined) return note(`${name} has no active EtcdBackup`);
      await seconds(random, 0, 1);
      await remove(testbed, active, note);
    },
  },
  {
    name: "a quota refuses new EtcdBackups",
    on: "schedules",
    async inflict(testbed, random) {
      const metadata = { name: "none", namespace: "default" };
      const hard = { "count/etcdbackups.etcdbackup.dev": "0" };
      const quota = { apiVersion: "v1", kind: "ResourceQuota", metadata, spec: { hard } };
      await retry("a quota is created", () => testbed.bench.kube.apply(quota), repairSeconds);
      await seconds(random, 2, 12);
      await kubectl(testbed, ["delete", "resourcequota", "none", "--ignore-not-found"]);
    },
  },
];

/** The EtcdBackup that the status of the schedule names and that has not ended. Undefined when none comes within 20 s. */
async function activeOf({ bench }: Testbed, name: string): Promise<string | undefined> {
  let active: string | undefined;
  const isActive = async () => {
    const schedule = await bench.kube.get<EtcdBackupSchedule>(`etcdbackupschedule/${name}`);
    active = schedule.status.active;
    if (active === undefined) return false;
    const backup = await bench.kube.get<EtcdBackup>(`etcdbackup/${active}`);
    return conditionOf(backup, "Finished")?.status !== "True";
  };
  // The API server may not answer, or a fault may keep the operators from it.
  await eventually(`${name} has an active EtcdBackup`, () => isActive().catch(() => false), 20).catch(
    () => {},
  );
  return active;
}

/**
 * The clock of one operator or of both is set ahead of every time that a schedule has run, so that times come and are
 * missed, then back into them, and at the end to the true time.
 */
export const clocksJump: Fault = {
  name: "the clocks of the operators jump",
  on: "operatorClocks",
  async inflict({ replicas, schedules }, random, _, { note }) {
    const moved = random.oneIn(2) ? replicas : [random.pick(replicas)];
    const set = async (time: number) => {
      const aheadMs = Math.round(time - Date.now());
      schedules.latestClock = Math.max(schedules.latestClock, time + minuteMs);
      for (const replica of moved) await replica.setClock(aheadMs);
      note(`the clock of ${moved.map(({ name }) => name).join(" and ")} is ahead by ${aheadMs / 1000} s`);
    };
    for (let jumps = 1 + random.below(2); jumps > 0; jumps -= 1) {
      await set(Math.max(schedules.latestClock, Date.now()) + (1 + random.below(3)) * minuteMs);
      await seconds(random, noticedWithin.from, noticedWithin.to);
    }
    if (random.oneIn(2)) {
      await set(schedules.latestClock - 3 * minuteMs);
      await seconds(random, noticedWithin.from, noticedWithin.to);
    }
    for (const replica of moved) await replica.setClock(0);
  },
};

/** Faults of the store in what retention does. */
export const onRetention: Fault[] = [
  {
    name: "the store refuses removals",
    on: "store",
    async inflict(testbed, random) {
      testbed.storeFault = ({ operation }) =>
        operation === "Delete" ? { do: "answer", status: 403, code: "AccessDenied" } : undefined;
      await seconds(random, 3, 20);
      testbed.storeFault = undefined;
    },
  },
  {
    name: "listings of the store break off",
    on: "store",
    async inflict(testbed, random) {
      testbed.storeFault = ({ operation }) =>
        operation === "List" && !random.oneIn(3)
          ? { do: "cutAnswer", after: random.below(2_000) }
          : undefined;
      await seconds(random, 3, 20);
      testbed.storeFault = undefined;
    },
  },
];

/** An operator with another Lease watches the same objects, and leaves alone what the others hold. */
export const otherRelease: Fault = {
  name: "another release with a Lease of its own runs beside",
  on: "place",
  async inflict({ bench }, random, _, { note }) {
    const name = "other-release";
    await using operator = await startOperator(bench.api, {
      kubeconfig: await bench.api.userKubeconfig(name, ["system:masters", auditedGroup]),
      // The store of a tenant may be without a holder.
      args: ["--lease-name", name, "--lease-duration", String(leaseSeconds), "--watch-namespaces", "default"],
      env: { POD_NAME: name, AWS_SDK_UA_APP_ID: name },
      ready: false,
    });
    await seconds(random, 8, 20);
    const leads = (await operator.get("/metrics"))?.body.includes("etcd_backup_operator_leader 1");
    note(`another release ${leads === true ? "leads" : "does not lead"} with its own Lease`);
  },
};
