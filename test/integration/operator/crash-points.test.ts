import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { s3Store } from "../../harness/etcd-backup.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf, statusesOf } from "../../support/custom-resources.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";
import { fillTwoParts } from "../../support/sample-data.ts";
import { checkStore } from "../../support/store-check.ts";
import { type BreakingProxy, startBreakingProxy } from "../../support/kube-breaking-proxy.ts";
import { eventually } from "../../support/eventually.ts";
import type { S3Request } from "../../support/s3-fault-proxy.ts";
import { type TcpFaultProxy, startTcpFaultProxy } from "../../support/tcp-fault-proxy.ts";

/** What lies in the store right after the kill. */
interface Left {
  /** Backups that are listed; each has to pass verify. */
  listed: number;
  /** Data without a manifest. */
  data: number;
  /** Unfinished uploads. */
  uploads: number;
}

interface CrashPoint {
  /** Of the EtcdBackup and its store. */
  name: string;
  when: string;
  spec?: { etcd?: object; [field: string]: unknown };
  /** Brings the operator there by way of `act` and holds it; resolves to what lets the rest of the world go on. */
  bring(act: () => Promise<unknown>): Promise<() => void>;
  left: Left;
}

interface BackupPoint extends CrashPoint {
  /** How many attempts it took in the end. */
  attempts: number;
  /** Taken over as it was stored, without a second one. */
  adopted: boolean;
}

/** One comes after the other, and nobody has to wait for the end of a dead operator's Lease. */
const args = ["--no-leader-elect"];

/** A point that is never reached fails its test alone. */
const bounded = { timeout: 90_000 };

describe("an operator that is killed, and the one that comes after it", () => {
  let bench: Bench;
  let member: TcpFaultProxy;
  let operators: AsyncDisposableStack;
  /** Between the first operator and the API server. */
  let kube: BreakingProxy;
  let doomed: Operator;

  before(async () => {
    bench = await startBench();
    await fillTwoParts(bench.etcd);
    member = await startTcpFaultProxy(bench.etcd.endpoints[0] ?? "");
  });
  beforeEach(async () => {
    operators = new AsyncDisposableStack();
    kube = operators.use(await startBreakingProxy(bench.api.kubeconfigPath));
    doomed = operators.use(await startOperator(bench.api, { args, kubeconfig: kube.kubeconfigPath }));
  });
  afterEach(async () => {
    bench.network.fault = () => undefined;
    bench.s3.resume();
    member.release();
    await operators.disposeAsync();
  });
  after(async () => {
    await member[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  const isOf = (name: string, { url }: S3Request) => url.startsWith(`/${name}`);
  const isManifestPut = ({ operation, url }: S3Request) =>
    operation === "Put" && /\/prod\/[^/]+\.json/.test(url);
  const isDelete =
    (what: RegExp) =>
    ({ operation, url }: S3Request) =>
      operation === "Delete" && what.test(url);
  const manifest = /\/prod\/[^/]+\.json/;
  const data = /\/prod\/.*\.db/;

  /** Holds the first such request before the store sees it; it never does. */
  const heldBefore =
    (which: (request: S3Request) => boolean): CrashPoint["bring"] =>
    async (act) => {
      const held = bench.hold(which);
      await act();
      await held.reached();
      return () => held.release({ do: "reset" });
    };

  /** Lets such a request through, and from then on nothing to the API server; waits until it is `done`. */
  const unrecorded =
    (which: (request: S3Request) => boolean, done: () => Promise<boolean>): CrashPoint["bring"] =>
    async (act) => {
      const held = bench.hold(which, () => void kube.freeze());
      await act();
      await held.reached();
      held.release();
      await eventually("the store has done it", done);
      return () => {};
    };

  const backupPoints: BackupPoint[] = [
    {
      name: "begun",
      when: "attempt 1 stands in the status, and the store has not been asked yet",
      bring: heldBefore((request) => isOf("begun", request)),
      left: { listed: 0, data: 0, uploads: 0 },
      attempts: 2,
      adopted: false,
    },
    {
      name: "stream",
      when: "in the stream, before the first part",
      async bring(act) {
        member.holdAfter(1_000_000);
        await act();
        await member.held();
        return () => member.release();
      },
      left: { listed: 0, data: 0, uploads: 0 },
      attempts: 2,
      adopted: false,
    },
    {
      name: "part",
      when: "in a part",
      async bring(act) {
        const held = bench.hold(
          ({ operation }) => operation === "Part",
          () => bench.s3.pause(),
        );
        await act();
        await held.reached();
        held.release();
        return () => bench.s3.resume();
      },
      left: { listed: 0, data: 0, uploads: 1 },
      attempts: 2,
      adopted: false,
    },
    {
      name: "complete",
      when: "all parts are stored, and the upload is not completed",
      bring: heldBefore(({ operation }) => operation === "Complete"),
      left: { listed: 0, data: 0, uploads: 1 },
      attempts: 2,
      adopted: false,
    },
    {
      name: "manifest",
      when: "the data is stored, and no manifest",
      bring: heldBefore(isManifestPut),
      left: { listed: 0, data: 1, uploads: 0 },
      attempts: 2,
      adopted: false,
    },
    {
      name: "readback",
      when: "the data is stored and is being read again, without a manifest",
      spec: { verification: { readBack: true } },
      bring: heldBefore(({ operation, url }) => operation === "Get" && data.test(url)),
      left: { listed: 0, data: 1, uploads: 0 },
      attempts: 2,
      adopted: false,
    },
    {
      name: "status",
      when: "the manifest is stored, and the status does not say so",
      bring: unrecorded(isManifestPut, async () => (await bench.manifests("status")).length === 1),
      left: { listed: 1, data: 0, uploads: 0 },
      attempts: 1,
      adopted: true,
    },
  ];

  const deletionPoints: CrashPoint[] = [
    {
      name: "whole",
      when: "nothing is removed yet",
      bring: heldBefore(isDelete(manifest)),
      left: { listed: 1, data: 0, uploads: 0 },
    },
    {
      name: "half",
      when: "the manifest is removed, and the data is not",
      bring: heldBefore(isDelete(data)),
      left: { listed: 0, data: 1, uploads: 0 },
    },
    {
      name: "finalizer",
      when: "both are removed, and the finalizer still stands",
      bring: unrecorded(isDelete(data), async () => (await bench.objects("finalizer")).length === 0),
      left: { listed: 0, data: 0, uploads: 0 },
    },
  ];

  const succeed = () => startOperator(bench.api, { args }).then((operator) => operators.use(operator));
  const reasonsOf = async (name: string) => (await bench.kube.events(name)).map(({ reason }) => reason);

  async function kill({ name, bring, left }: CrashPoint, act: () => Promise<unknown>): Promise<void> {
    const letGo = await bring(act);
    await doomed.process.kill();
    letGo();
    const { backups, leftovers } = await checkStore(s3Store(bench.s3, name));
    const uploads = (await bench.unfinished(name)).length;
    const found = { listed: backups.length, data: leftovers.length - uploads, uploads };
    assert.deepEqual(found, left, "what the kill left");
  }

  /** In the end these backups are listed and pass verify, and nothing lies beside them. */
  async function holdsOnly(name: string, backups: string[]): Promise<void> {
    assert.deepEqual(await checkStore(s3Store(bench.s3, name)), { backups, leftovers: [] });
  }

  async function begin({ name, spec = {} }: CrashPoint): Promise<() => Promise<void>> {
    await bench.addStore(name);
    await bench.kube.wait(`etcdbackupstore/${name}`, "condition=Ready");
    const object = bench.backupObject(name, name, { etcd: { endpoints: [member.endpoint] }, ...spec });
    return () => bench.kube.apply(object);
  }

  for (const point of backupPoints) {
    const { name, attempts, adopted } = point;
    const then = adopted ? "is taken over as it was stored" : "is made in a second attempt";
    it(`killed when ${point.when}: the backup ${then}`, bounded, async () => {
      await kill(point, await begin(point));
      const interrupted = await bench.kube.backup(name);
      assert.equal(interrupted.status.attempts, 1);
      assert.equal(conditionOf(interrupted, "Finished")?.status, "False");
      const stored = await bench.objects(name);

      await succeed();
      await bench.kube.wait(`etcdbackup/${name}`, "condition=Succeeded");
      const backup = await bench.kube.backup(name);
      assert.equal(backup.status.attempts, attempts);
      assert.deepEqual(statusesOf(backup), {
        Ready: "True",
        Succeeded: "True",
        Finished: "True",
        Reconciling: "False",
        Stalled: "False",
      });
      assert.equal(backup.status.member?.endpoint, member.endpoint);
      assert.notEqual(backup.status.snapshot?.revision, undefined);
      await holdsOnly(name, [backup.status.artifact?.name ?? "none"]);
      if (adopted) assert.deepEqual(await bench.objects(name), stored);
      await eventually("the event of its end", async () =>
        (await reasonsOf(name)).includes("SnapshotSucceeded"),
      );
      assert.equal((await reasonsOf(name)).includes("OperatorRestarted"), !adopted, "OperatorRestarted");
    });
  }

  it(
    "killed in the last attempt that it may make: it fails with a reason, and what it left is cleared away",
    bounded,
    async () => {
      const point: CrashPoint = {
        name: "last",
        when: "in its last attempt",
        spec: { backoffLimit: 0 },
        bring: heldBefore(({ operation }) => operation === "Complete"),
        left: { listed: 0, data: 0, uploads: 1 },
      };
      await kill(point, await begin(point));
      await succeed();
      await bench.kube.wait("etcdbackup/last", "condition=Finished");
      const backup = await bench.kube.backup("last");
      assert.equal(backup.status.attempts, 1);
      const condition = conditionOf(backup, "Succeeded");
      assert.equal(condition?.status, "False");
      assert.equal(condition?.reason, "BackoffLimitExceeded");
      assert.match(condition?.message ?? "", /the operator stopped in the middle of the attempt/);
      await holdsOnly("last", []);
    },
  );

  const secondDeaths: (BackupPoint & { second: (request: S3Request) => boolean })[] = [
    {
      name: "clearing",
      when: "clears away what the first had uploaded",
      bring: heldBefore(({ operation }) => operation === "Complete"),
      second: ({ operation }) => operation === "Abort",
      left: { listed: 0, data: 0, uploads: 1 },
      attempts: 2,
      adopted: false,
    },
    {
      name: "adopting",
      when: "reads the manifest that the first had stored",
      bring: unrecorded(isManifestPut, async () => (await bench.manifests("adopting")).length === 1),
      second: ({ operation, url }) => operation === "Get" && manifest.test(url),
      left: { listed: 1, data: 0, uploads: 0 },
      attempts: 1,
      adopted: true,
    },
  ];

  for (const point of secondDeaths) {
    const { name, when, second, attempts } = point;
    it(
      `the one that comes after it is killed, too, when it ${when}: the third ends the backup`,
      bounded,
      async () => {
        await kill(point, await begin(point));
        const again = bench.hold((request) => isOf(name, request) && second(request));
        const successor = await succeed();
        await again.reached();
        await successor.process.kill();
        again.release({ do: "reset" });

        await succeed();
        await bench.kube.wait(`etcdbackup/${name}`, "condition=Succeeded");
        const { status } = await bench.kube.backup(name);
        // Only what was begun counts, not how often it was taken up.
        assert.equal(status.attempts, attempts);
        await holdsOnly(name, [status.artifact?.name ?? "none"]);
      },
    );
  }

  for (const point of deletionPoints) {
    const { name } = point;
    it(`killed while it deletes, when ${point.when}: the deletion is finished`, bounded, async () => {
      const spec = { deletionPolicy: "Delete" };
      const create = await begin({ ...point, spec });
      await create();
      await bench.kube.wait(`etcdbackup/${name}`, "condition=Succeeded");
      await kill(point, () => bench.api.kubectl(["delete", "etcdbackup", name, "--wait=false"]));
      const deleting = await bench.kube.backup(name);
      assert.notEqual(deleting.metadata.deletionTimestamp, undefined);
      assert.equal(conditionOf(deleting, "Reconciling")?.reason, "Deleting");

      await succeed();
      await bench.kube.wait(`etcdbackup/${name}`, "delete");
      await holdsOnly(name, []);
      await eventually("the event of the removal", async () =>
        (await reasonsOf(name)).includes("StoredBackupDeleted"),
      );
      assert.ok(!(await reasonsOf(name)).includes("DeletionBlocked"));
    });
  }
});
