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

/** What the store holds right after the kill. */
interface StoreAfterKill {
  /** Listed backups; each has to pass verify. */
  listed: number;
  /** Data objects without a manifest. */
  data: number;
  /** Unfinished uploads. */
  uploads: number;
}

interface CrashPoint {
  /** Name of the EtcdBackup and its store. */
  name: string;
  when: string;
  spec?: { etcd?: object; [field: string]: unknown };
  /** Calls `act` and waits until the operator is at the crash point. Returns what releases the servers after the kill. */
  reach(act: () => Promise<unknown>): Promise<() => void>;
  left: StoreAfterKill;
}

interface BackupPoint extends CrashPoint {
  /** Attempts of the finished backup. */
  attempts: number;
  /** The next operator records the stored backup instead of making another one. */
  adopted: boolean;
}

/** Without a Lease the next operator need not wait for the killed one's Lease to expire. */
const args = ["--no-leader-elect"];

/** A crash point that is not reached fails only its own test. */
const bounded = { timeout: 90_000 };

describe("after an operator was killed, the next one", () => {
  let bench: Bench;
  let member: TcpFaultProxy;
  let operators: AsyncDisposableStack;
  /** Between the first operator and the API server. */
  let kube: BreakingProxy;
  let first: Operator;

  before(async () => {
    bench = await startBench();
    await fillTwoParts(bench.etcd);
    member = await startTcpFaultProxy(bench.etcd.endpoints[0] ?? "");
  });
  beforeEach(async () => {
    operators = new AsyncDisposableStack();
    kube = operators.use(await startBreakingProxy(bench.api.kubeconfigPath));
    first = operators.use(await startOperator(bench.api, { args, kubeconfig: kube.kubeconfigPath }));
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

  /** The operator waits for such a request, which the store never receives. */
  const heldBefore =
    (which: (request: S3Request) => boolean): CrashPoint["reach"] =>
    async (act) => {
      const held = bench.hold(which);
      await act();
      await held.reached();
      return () => held.release({ do: "reset" });
    };

  /** Forwards such a request, cuts the operator off from the API server, and waits until the store is `done`. */
  const unrecorded =
    (which: (request: S3Request) => boolean, done: () => Promise<boolean>): CrashPoint["reach"] =>
    async (act) => {
      const held = bench.hold(which, () => void kube.freeze());
      await act();
      await held.reached();
      held.release();
      await eventually("the store has executed the request", done);
      return () => {};
    };

  const backupPoints: BackupPoint[] = [
    {
      name: "begun",
      when: "attempt 1 is in the status and its first request was not answered by the store",
      reach: heldBefore((request) => isOf("begun", request) && /[?&]max-keys=1(&|$)/.test(request.url)),
      left: { listed: 0, data: 0, uploads: 0 },
      attempts: 2,
      adopted: false,
    },
    {
      name: "stream",
      when: "the snapshot is streamed and no part is complete",
      async reach(act) {
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
      when: "a part is uploaded",
      async reach(act) {
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
      when: "all parts are stored and the upload is not completed",
      reach: heldBefore(({ operation }) => operation === "Complete"),
      left: { listed: 0, data: 0, uploads: 1 },
      attempts: 2,
      adopted: false,
    },
    {
      name: "manifest",
      when: "the data is stored and the manifest is not",
      reach: heldBefore(isManifestPut),
      left: { listed: 0, data: 1, uploads: 0 },
      attempts: 2,
      adopted: false,
    },
    {
      name: "readback",
      when: "the data is read back before the manifest is stored",
      spec: { verification: { readBack: true } },
      reach: heldBefore(({ operation, url }) => operation === "Get" && data.test(url)),
      left: { listed: 0, data: 1, uploads: 0 },
      attempts: 2,
      adopted: false,
    },
    {
      name: "status",
      when: "the manifest is stored and the status does not record it",
      reach: unrecorded(isManifestPut, async () => (await bench.manifests("status")).length === 1),
      left: { listed: 1, data: 0, uploads: 0 },
      attempts: 1,
      adopted: true,
    },
  ];

  const deletionPoints: CrashPoint[] = [
    {
      name: "whole",
      when: "nothing is removed",
      reach: heldBefore(isDelete(manifest)),
      left: { listed: 1, data: 0, uploads: 0 },
    },
    {
      name: "half",
      when: "the manifest is removed and the data is not",
      reach: heldBefore(isDelete(data)),
      left: { listed: 0, data: 1, uploads: 0 },
    },
    {
      name: "finalizer",
      when: "both are removed and the finalizer is not",
      reach: unrecorded(isDelete(data), async () => (await bench.objects("finalizer")).length === 0),
      left: { listed: 0, data: 0, uploads: 0 },
    },
  ];

  const startNext = () => startOperator(bench.api, { args }).then((operator) => operators.use(operator));
  const reasonsOf = async (name: string) => (await bench.kube.events(name)).map(({ reason }) => reason);

  async function killAt({ name, reach, left }: CrashPoint, act: () => Promise<unknown>): Promise<void> {
    const release = await reach(act);
    await first.process.kill();
    release();
    const { backups, leftovers } = await checkStore(s3Store(bench.s3, name));
    const uploads = (await bench.unfinished(name)).length;
    const contents = { listed: backups.length, data: leftovers.length - uploads, uploads };
    assert.deepEqual(contents, left, "what the store holds after the kill");
  }

  /** The store lists these backups, which pass verify, and holds nothing else. */
  async function assertHoldsOnly(name: string, backups: string[]): Promise<void> {
    assert.deepEqual(await checkStore(s3Store(bench.s3, name)), { backups, leftovers: [] });
  }

  /** Adds the store of a crash point. Returns what creates its EtcdBackup. */
  async function addStore({ name, spec = {} }: CrashPoint): Promise<() => Promise<void>> {
    await bench.addStore(name);
    await bench.kube.wait(`etcdbackupstore/${name}`, "condition=Ready");
    const object = bench.backupObject(name, name, { etcd: { endpoints: [member.endpoint] }, ...spec });
    return () => bench.kube.apply(object);
  }

  for (const point of backupPoints) {
    const { name, attempts, adopted } = point;
    const outcome = adopted ? "records the stored backup" : "makes the backup in a second attempt";
    it(`${outcome} (killed when ${point.when})`, bounded, async () => {
      await killAt(point, await addStore(point));
      const interrupted = await bench.kube.backup(name);
      assert.equal(interrupted.status.attempts, 1);
      assert.equal(conditionOf(interrupted, "Finished")?.status, "False");
      const stored = await bench.objects(name);

      await startNext();
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
      await assertHoldsOnly(name, [backup.status.artifact?.name ?? "none"]);
      if (adopted) assert.deepEqual(await bench.objects(name), stored);
      await eventually("the event SnapshotSucceeded is written", async () =>
        (await reasonsOf(name)).includes("SnapshotSucceeded"),
      );
      assert.equal((await reasonsOf(name)).includes("OperatorRestarted"), !adopted, "OperatorRestarted");
    });
  }

  it("fails the backup and deletes its upload (killed in the last attempt)", bounded, async () => {
    const point: CrashPoint = {
      name: "last",
      when: "in its last attempt",
      spec: { backoffLimit: 0 },
      reach: heldBefore(({ operation }) => operation === "Complete"),
      left: { listed: 0, data: 0, uploads: 1 },
    };
    await killAt(point, await addStore(point));
    await startNext();
    await bench.kube.wait("etcdbackup/last", "condition=Finished");
    const backup = await bench.kube.backup("last");
    assert.equal(backup.status.attempts, 1);
    const condition = conditionOf(backup, "Succeeded");
    assert.equal(condition?.status, "False");
    assert.equal(condition?.reason, "BackoffLimitExceeded");
    assert.match(condition?.message ?? "", /the operator stopped in the middle of the attempt/);
    await assertHoldsOnly("last", []);
  });

  const secondKills: (BackupPoint & { second: (request: S3Request) => boolean })[] = [
    {
      name: "clearing",
      when: "it deletes the upload of the first",
      reach: heldBefore(({ operation }) => operation === "Complete"),
      second: ({ operation }) => operation === "Abort",
      left: { listed: 0, data: 0, uploads: 1 },
      attempts: 2,
      adopted: false,
    },
    {
      name: "adopting",
      when: "it reads the manifest that the first has stored",
      reach: unrecorded(isManifestPut, async () => (await bench.manifests("adopting")).length === 1),
      second: ({ operation, url }) => operation === "Get" && manifest.test(url),
      left: { listed: 1, data: 0, uploads: 0 },
      attempts: 1,
      adopted: true,
    },
  ];

  for (const point of secondKills) {
    const { name, when, second, attempts } = point;
    it(`is killed, too, when ${when}: the third one finishes the backup`, bounded, async () => {
      await killAt(point, await addStore(point));
      const again = bench.hold((request) => isOf(name, request) && second(request));
      const secondOperator = await startNext();
      await again.reached();
      await secondOperator.process.kill();
      again.release({ do: "reset" });

      await startNext();
      await bench.kube.wait(`etcdbackup/${name}`, "condition=Succeeded");
      const { status } = await bench.kube.backup(name);
      // An attempt counts once, however many operators have resumed it.
      assert.equal(status.attempts, attempts);
      await assertHoldsOnly(name, [status.artifact?.name ?? "none"]);
    });
  }

  for (const point of deletionPoints) {
    const { name } = point;
    it(`finishes the deletion (killed when ${point.when})`, bounded, async () => {
      const spec = { deletionPolicy: "Delete" };
      const create = await addStore({ ...point, spec });
      await create();
      await bench.kube.wait(`etcdbackup/${name}`, "condition=Succeeded");
      await killAt(point, () => bench.api.kubectl(["delete", "etcdbackup", name, "--wait=false"]));
      const deleting = await bench.kube.backup(name);
      assert.notEqual(deleting.metadata.deletionTimestamp, undefined);
      assert.equal(conditionOf(deleting, "Reconciling")?.reason, "Deleting");

      await startNext();
      await bench.kube.wait(`etcdbackup/${name}`, "delete");
      await assertHoldsOnly(name, []);
      await eventually("the event StoredBackupDeleted is written", async () =>
        (await reasonsOf(name)).includes("StoredBackupDeleted"),
      );
      assert.ok(!(await reasonsOf(name)).includes("DeletionBlocked"));
    });
  }
});
