import { snapshotFile } from "../../../test/testdata/snapshot-files.ts";
import { type EtcdBackup, etcdBackupDefinition } from "../../api/v1alpha1/etcd-backup.ts";
import { type EtcdBackupStore, etcdBackupStoreDefinition } from "../../api/v1alpha1/etcd-backup-store.ts";
import { encodeManifest } from "../../backup/manifest/manifest.ts";
import { saveFile } from "../../backup/saved.fixture.ts";
import { dataObject, formatBackupName } from "../../core/backup/name.ts";
import { noLog } from "../../core/log.ts";
import { KnownBackups } from "../../core/store/known-backups.ts";
import { memoryApi } from "../../kube/memory-api/memory-api.fixture.ts";
import { type ResourceKind, customResource } from "../../kube/objects.ts";
import { operatorResources } from "../../operator/resources.ts";
import { factsOf } from "../../store/kinds.ts";
import { memoryStore } from "../../store/memory/memory-store.fixture.ts";
import { KeyedMutex } from "../keyed-mutex.ts";
import { Catalogs } from "../store/catalogs.ts";
import { holdsOver } from "../store/holds.fixture.ts";
import { storeReconciler } from "../store/reconcile.ts";
import { verificationReconciler } from "./reconcile.ts";
import { VerificationReports } from "./reports.ts";
import { RunningVerifications } from "./running.ts";

const stores: ResourceKind<EtcdBackupStore> = customResource(etcdBackupStoreDefinition);
const backups: ResourceKind<EtcdBackup> = customResource(etcdBackupDefinition);
const ref = { namespace: "ns", name: "s" };
const key = "ns/s";

/** One sound backup, of which the others are copies under other names. */
const file = snapshotFile("churned-3.6");
const original = memoryStore();
const saved = await saveFile(file, original, { clusterName: "prod", compression: "Zstd" });
const data = original.objects.get(saved.stored.object) ?? Buffer.alloc(0);

/**
 * An EtcdBackupStore that verifies at 03:00 in an API server and a bucket, both in memory, with the controllers of stores
 * and of verifications over it. The clock is the test's, and begins at noon.
 */
export function verificationWorld(spec: Partial<EtcdBackupStore["spec"]> = {}) {
  let clock = Date.parse("2026-08-20T12:00:00Z");
  const now = () => new Date(clock);
  const api = memoryApi();
  api.now = now;
  api.create(stores, {
    metadata: ref,
    spec: {
      s3: { bucket: "backups" },
      catalog: { import: false },
      verify: { schedule: "0 3 * * *" },
      ...spec,
    },
  });
  const bucket = memoryStore();
  bucket.now = now;
  const events: string[] = [];
  const woken: string[] = [];
  const watch = () => {
    const known = new KnownBackups();
    for (const backup of api.objects(backups)) known.set(`ns/${backup.metadata.name}`, backup);
    return known;
  };
  const { signal } = new AbortController();
  const running = new RunningVerifications();
  const startProcess = () => {
    const resources = operatorResources(api.client, { check() {} });
    const shared = {
      resources,
      holds: holdsOver(resources, { now, clock: () => clock }),
      catalogs: new Catalogs(now),
      reports: new VerificationReports(),
      openStore: async () => bucket,
      events: {
        record: ({
          regarding,
          reason,
          note,
        }: {
          regarding: { kind: string };
          reason: string;
          note: string;
        }) => void events.push(`${regarding.kind} ${reason}: ${note}`),
      },
      now,
      log: noLog,
    };
    return {
      probe: storeReconciler({
        ...shared,
        known: watch(),
        backupsNeeding: () => 0,
        guards: new KeyedMutex(),
        writers: new Map(),
        factsOf,
      }),
      verify: () =>
        verificationReconciler({
          ...shared,
          known: watch(),
          running,
          wake: { stores: () => {}, backups: (backup) => void woken.push(backup) },
        }),
      catalogs: shared.catalogs,
    };
  };
  let process = startProcess();
  let verify = process.verify();
  const store = (): EtcdBackupStore => {
    const found = api.object(stores, ref);
    if (found === undefined) throw new Error("the store is gone");
    return found;
  };
  const world = {
    api,
    bucket,
    events,
    woken,
    running,
    key,
    store,
    status: () => store().status,
    verification: () => store().status.verification,
    condition: () => store().status.conditions?.find(({ type }) => type === "Verified"),
    /** The events of verifications. */
    told: () => events.filter((text) => /Verified|Verification/.test(text)),
    set(time: string) {
      clock = Date.parse(time);
    },
    /** Another process goes on, which knows nothing of this one. */
    restart() {
      process = startProcess();
      verify = process.verify();
    },
    /** The EtcdBackups change, as the watch sees it. */
    watchAgain() {
      verify = process.verify();
    },
    probe: () => process.probe(ref, signal),
    /** One pass of the verifications. Resolves to the milliseconds until the next one. */
    pass: async () => (await verify(ref, signal))?.againAfterMs,
    /** Passes until nothing is to be done now. Resolves to the backups that were verified, and the wait. */
    async settle(): Promise<{ verified: string[]; againAfterMs: number | undefined }> {
      const before = bucket.calls.length;
      for (let pass = 0; pass < 30; pass++) {
        const againAfterMs = await world.pass();
        if (againAfterMs !== undefined && againAfterMs < 1000) continue;
        const reads = bucket.calls.slice(before).filter((call) => /^get .*\.db\.zst$/.test(call));
        const names = reads.map((call) => call.replace(/^get ([^/]+)\/.*-(.*)\.db\.zst$/, "$1/$2"));
        return { verified: names, againAfterMs };
      }
      throw new Error("30 passes, and still something to do");
    },
    /** Lists the store, lets this time come, verifies, and writes the status. Resolves to what was verified. */
    async live(time: string): Promise<string[]> {
      await world.probe();
      await world.settle();
      world.set(time);
      const { verified } = await world.settle();
      await world.probe();
      return verified;
    },
    /** Adds a sound backup, made on day `n`. Resolves to its name, and those of its objects. */
    add(n: number, clusterName = "prod") {
      const time = new Date(Date.UTC(2026, 7, n, 12));
      const runId = `run${n}`;
      const name = formatBackupName({ time, revision: saved.snapshot.revision, runId });
      const object = dataObject(clusterName, time, runId, "Zstd");
      const manifest = {
        ...saved,
        name,
        cluster: { ...saved.cluster, name: clusterName },
        run: { ...saved.run, id: runId },
        stored: { ...saved.stored, object },
      };
      bucket.objects.set(object, Buffer.from(data));
      bucket.objects.set(`${clusterName}/${name}.json`, encodeManifest(manifest));
      return { name, manifest: `${clusterName}/${name}.json`, data: object, place: `${clusterName}/${name}` };
    },
    /** Changes one byte of an object. */
    damage(object: string) {
      const bytes = Buffer.from(bucket.objects.get(object) ?? "");
      const at = Math.floor(bytes.length / 2);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      bucket.objects.set(object, bytes);
    },
    repair: (object: string) => void bucket.objects.set(object, Buffer.from(data)),
    records: () => [...bucket.objects.keys()].filter((name) => name.includes("/verification/")),
    /** What retention sees of a folder. */
    folder: async (clusterName = "prod") =>
      (await process.catalogs.find(store())?.folder(clusterName, signal)) ?? [],
    changeStore: (mutate: (store: EtcdBackupStore) => void) => api.change(stores, ref, mutate),
    removeStore: () => api.remove(stores, ref),
    /** An EtcdBackup that made the backup. */
    createBackup(name: string, backup: string) {
      api.create(backups, {
        metadata: { namespace: "ns", name },
        spec: { clusterName: "prod", storeRef: { name: "s" }, etcd: { endpoints: ["http://e:2379"] } },
      });
      api.change(backups, { namespace: "ns", name }, ({ status }) => {
        status.artifact = {
          name: backup,
          storeURL: bucket.location,
          url: "u",
          manifestURL: "m",
          storedBytes: 1,
          compression: "Zstd",
          crc32c: "00000000",
          proof: "FullObjectCRC32C",
        };
      });
      world.watchAgain();
    },
  };
  return world;
}
