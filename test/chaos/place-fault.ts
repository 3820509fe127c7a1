import assert from "node:assert/strict";
import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";
import { runPrefix } from "../../src/core/backup/run-id.ts";
import type { Random } from "../harness/random.ts";
import { conditionOf } from "../support/custom-resources.ts";
import { eventually, retry } from "../support/eventually.ts";
import { objectKeys } from "../support/s3-store.ts";
import { type Round, kubectl, repairSeconds } from "./backups.ts";
import { type Fault, seconds } from "./fault.ts";
import type { Testbed } from "./testbed.ts";

interface Place {
  bucket: string;
  prefix?: string;
}

/** An EtcdBackupStore that leads to one place and then to another, and the EtcdBackups that use it. */
export interface MovingStore {
  name: string;
  buckets: string[];
  backups: { name: string; uid: string; deletionPolicy: string }[];
}

async function move(testbed: Testbed, round: Round, random: Random, restart: boolean): Promise<void> {
  const { bench } = testbed;
  const { number, note } = round;
  const name = `moving-${number}`;
  const buckets = random.oneIn(2) ? [`${name}-a`, `${name}-b`] : [`${name}-a`];
  for (const bucket of buckets)
    await retry(`bucket ${bucket} is created`, () => bench.s3.createBucket(bucket), repairSeconds);
  const [bucket = ""] = buckets;
  const places: [Place, Place] = [{ bucket }, { bucket: buckets[1] ?? bucket, prefix: "elsewhere" }];
  const moving: MovingStore = { name, buckets, backups: [] };
  testbed.moving.push(moving);
  testbed.afterChecks.push(() => removeMoving(testbed, moving));
  await leadTo(testbed, name, places[0]);
  await createIn(testbed, moving, random);
  await seconds(random, 0, 8);
  for (const place of [places[1], places[0], places[1]].slice(0, 1 + random.below(3))) {
    const [replica] = random.oneIn(2) ? testbed.replicas : testbed.replicas.toReversed();
    if (restart) await replica?.operator.process.kill();
    await leadTo(testbed, name, place);
    note(`EtcdBackupStore ${name} leads to ${place.bucket}/${place.prefix ?? ""} now`);
    if (restart) await replica?.start();
    if (random.oneIn(2)) await createIn(testbed, moving, random);
    for (const { name: one } of moving.backups)
      if (random.oneIn(3)) {
        await kubectl(testbed, ["delete", "etcdbackup", one, "--wait=false", "--ignore-not-found"]);
        note(`deleted ${one}`);
      }
    await seconds(random, 0, 8);
  }
}

export const movedStores: Fault[] = [
  {
    name: "a store is made again elsewhere",
    on: "place",
    inflict: (testbed, random, _, round) => move(testbed, round, random, false),
  },
  {
    name: "a store is made again elsewhere while operators are killed",
    on: "placeAndOperators",
    inflict: (testbed, random, _, round) => move(testbed, round, random, true),
  },
];

/** A person deletes the store, whatever finalizer protects it, and makes it again. */
async function leadTo(testbed: Testbed, name: string, { bucket, prefix }: Place): Promise<void> {
  const { bench } = testbed;
  const s3 = {
    endpoint: bench.network.endpoint,
    forcePathStyle: true,
    bucket,
    credentialsSecretRef: { name: "s3" },
    ...(prefix === undefined ? {} : { prefix }),
  };
  await removeStore(testbed, name);
  await retry(
    `${name} is made again`,
    () => bench.kube.apply(bench.storeObject(name, { s3 })),
    repairSeconds,
  );
}

async function removeStore(testbed: Testbed, name: string): Promise<void> {
  await kubectl(testbed, ["delete", "etcdbackupstore", name, "--wait=false", "--ignore-not-found"]);
  const none = JSON.stringify({ metadata: { finalizers: null } });
  await eventually(
    `${name} is gone`,
    async () => {
      const patch = ["patch", "etcdbackupstore", name, "--type=merge", "-p", none, "--request-timeout=10s"];
      const answer = await testbed.bench.api.kubectl(patch).catch(String);
      return answer.includes("NotFound");
    },
    repairSeconds,
  );
}

async function createIn(testbed: Testbed, moving: MovingStore, random: Random): Promise<void> {
  const { bench } = testbed;
  for (let count = 1 + random.below(2); count > 0; count -= 1) {
    const name = `${moving.name}-${moving.backups.length}`;
    const spec = {
      deletionPolicy: random.pick(["Retain", "Delete", "Delete"]),
      timeoutSeconds: random.pick([30, 60]),
      backoffLimit: 3,
      verification: { hashKV: "Skip" },
      ...(random.oneIn(2) ? { maxRate: "4Mi" } : {}),
    };
    const uid = await retry(
      `the API server accepts ${name}`,
      async () => {
        await bench.kube.apply(bench.backupObject(name, moving.name, spec));
        return (await bench.kube.backup(name)).metadata.uid;
      },
      repairSeconds,
    );
    moving.backups.push({ name, uid, deletionPolicy: spec.deletionPolicy });
  }
}

/** Nothing more happens to the EtcdBackup until its store leads elsewhere or its folder becomes free. */
export function isMovedAtRest(backup: EtcdBackup): boolean {
  if (backup.metadata.deletionTimestamp !== undefined)
    return conditionOf(backup, "Stalled")?.reason === "DeletionBlocked";
  return (
    conditionOf(backup, "Finished")?.status === "True" ||
    conditionOf(backup, "Succeeded")?.reason === "FolderClaimed"
  );
}

/** A store that leads elsewhere loses no backup that its policy keeps, and lets none go whose data stay. */
export async function assertMoved({ bench, moving, allBackups, artifacts }: Testbed): Promise<void> {
  const present = new Map((await allBackups()).map((backup) => [backup.metadata.uid, backup]));
  for (const { buckets, backups } of moving) {
    const keys = new Set<string>();
    for (const bucket of buckets)
      for (const key of await objectKeys(bench.raw, bucket)) keys.add(`s3://${bucket}/${key}`);
    for (const { name, uid, deletionPolicy } of backups) {
      const backup = present.get(uid);
      if (backup === undefined && deletionPolicy === "Delete") {
        const left = [...keys].filter((key) => key.includes(runPrefix(uid)));
        assert.deepEqual(left, [], `${name} is deleted with deletionPolicy Delete, and its data stay`);
      }
      const artifact = artifacts.get(uid);
      const isKept =
        deletionPolicy === "Retain" ||
        (backup !== undefined && backup.metadata.deletionTimestamp === undefined);
      if (artifact === undefined || !isKept) continue;
      for (const url of [artifact.url, artifact.manifestURL])
        assert.ok(
          keys.has(url),
          `${url} of ${name} is kept by its policy, and the store holds ${[...keys].join(", ")}`,
        );
    }
  }
}

async function removeMoving(testbed: Testbed, moving: MovingStore): Promise<void> {
  for (const { name } of moving.backups) {
    const annotate = ["annotate", "etcdbackup", name, "--overwrite", "etcdbackup.dev/force-delete=true"];
    await testbed.bench.api.kubectl(annotate).catch(() => "");
    await kubectl(testbed, ["delete", "etcdbackup", name, "--wait=false", "--ignore-not-found"]);
  }
  const isOfMoving = ({ metadata }: EtcdBackup) => moving.backups.some(({ uid }) => uid === metadata.uid);
  await eventually(
    `the EtcdBackups of ${moving.name} go when a person forces it`,
    async () => !(await testbed.allBackups()).some(isOfMoving),
    repairSeconds,
  );
  await removeStore(testbed, moving.name);
  testbed.moving.splice(testbed.moving.indexOf(moving), 1);
}
