import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { isDeepStrictEqual } from "node:util";
import type { EtcdBackupStatus } from "../../../src/api/v1alpha1/etcd-backup.ts";
import { type BreakingProxy, startBreakingProxy } from "../../support/kube-breaking-proxy.ts";
import { eventually } from "../../support/eventually.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf } from "../../support/custom-resources.ts";
import { startOperator } from "../../support/operator-process.ts";
import { fillTwoParts } from "../../support/sample-data.ts";

const plurals = ["etcdbackups", "etcdbackupstores"];
const kinds = "/apis/etcdbackup.dev/v1alpha1";

const isRenewal = (request: string) => /^PUT \S+\/leases\//.test(request);
const isList = (request: string, plural: string) =>
  request.startsWith(`GET ${kinds}/${plural}`) &&
  !request.includes("watch=") &&
  !request.includes("/namespaces/");
const isWatch = (request: string, plural: string) =>
  request.startsWith(`GET ${kinds}/${plural}?`) && request.includes("watch=");

describe("the operator writes to the API server only what is new", () => {
  const owned = new AsyncDisposableStack();
  let bench: Bench;
  let proxy: BreakingProxy;

  before(async () => {
    bench = owned.use(await startBench());
    proxy = owned.use(await startBreakingProxy(bench.api.kubeconfigPath));
    owned.use(await startOperator(bench.api, { kubeconfig: proxy.kubeconfigPath }));
    await bench.addStore("depot");
    await bench.kube.wait("etcdbackupstore/depot", "condition=Ready");
  });
  after(() => owned.disposeAsync());

  /** The statuses that were written for an object, in order. */
  function statusesSent(object: string): EtcdBackupStatus[] {
    return proxy.writes.flatMap(({ request, body }) =>
      request.startsWith("PATCH ") && request.includes(`/${object}/status`)
        ? [(JSON.parse(body) as { status: EtcdBackupStatus }).status]
        : [],
    );
  }

  function assertNoRepetition(statuses: readonly EtcdBackupStatus[]): void {
    for (const [n, status] of statuses.slice(1).entries())
      assert.ok(!isDeepStrictEqual(status, statuses[n]), `written twice: ${JSON.stringify(status)}`);
  }

  const reasons = (statuses: readonly EtcdBackupStatus[]) =>
    statuses
      .map(({ conditions = [] }) => conditions.find(({ type }) => type === "Succeeded")?.reason)
      .join(" ");

  /** Waits until this many more of such requests have been sent. */
  async function requested(what: string, which: (request: string) => boolean, times = 1): Promise<void> {
    const from = proxy.requests.length;
    await eventually(what, async () => proxy.requests.slice(from).filter(which).length >= times, 60);
  }

  it("a small backup takes at most eight status writes, all different", async (t) => {
    await bench.kube.apply(bench.backupObject("small", "depot"));
    await bench.kube.wait("etcdbackup/small", "condition=Succeeded");
    const statuses = statusesSent("small");
    t.diagnostic(`${statuses.length} status writes: ${reasons(statuses)}`);
    assert.ok(statuses.length >= 3 && statuses.length <= 8, reasons(statuses));
    assertNoRepetition(statuses);
    await bench.kube.wait("etcdbackupstore/depot", "jsonpath={.status.backups}=1");
    const ofStore = statusesSent("depot");
    const writes = "initialization, writer, first probe, and renewal and probe after the backup";
    assert.equal(ofStore.length, 5, writes);
  });

  it("a slow backup writes its progress at most every two seconds", async (t) => {
    await fillTwoParts(bench.etcd);
    await bench.kube.apply(bench.backupObject("slow", "depot", { maxRate: "4Mi" }));
    await bench.kube.wait("etcdbackup/slow", "condition=Succeeded", { seconds: 60 });
    const statuses = statusesSent("slow");
    t.diagnostic(`${statuses.length} status writes: ${reasons(statuses)}`);
    const { startTime = "", completionTime = "" } = (await bench.kube.backup("slow")).status;
    const seconds = (Date.parse(completionTime) - Date.parse(startTime)) / 1000;
    assert.ok(seconds >= 4, `the backup took only ${seconds} s`);
    const shown = statuses.filter(({ progress }) => progress !== undefined).length;
    assert.ok(shown >= 2 && shown <= seconds / 2 + 3, `${shown} times in ${seconds} s`);
    assert.ok(statuses.length <= shown + 6, reasons(statuses));
    assertNoRepetition(statuses);
  });

  it("an idle operator writes no status, also after broken watches and new lists", async () => {
    await bench.kube.apply(bench.backupObject("waiting", "nowhere"));
    await bench.kube.waitReason("etcdbackup/waiting", "Succeeded", "StoreNotReady");
    await bench.kube.wait("etcdbackupstore/depot", "jsonpath={.status.backups}=2");
    await eventually("the last events are written", async () => {
      const events = [...(await bench.kube.events("slow")), ...(await bench.kube.events("waiting"))];
      return ["SnapshotSucceeded", "StoreNotReady"].every((r) => events.some(({ reason }) => reason === r));
    });
    // The last write wakes the operator once more: its reaction still belongs to the backup.
    await requested("two renewals", isRenewal, 2);
    const from = proxy.writes.length;
    const renewed = requested("five renewals, two seconds each", isRenewal, 5);

    const watched = plurals.map((plural) => requested(`a watch of ${plural}`, (r) => isWatch(r, plural)));
    proxy.cut();
    await Promise.all(watched);

    const expired = new Set(plurals);
    proxy.refuse = (request) => {
      const plural = plurals.find((p) => isWatch(request, p));
      if (plural === undefined || !expired.delete(plural)) return undefined;
      return { status: 410, body: { kind: "Status", code: 410, reason: "Expired", message: "too old" } };
    };
    const isReadOf = (object: string) => (r: string) => r.startsWith("GET ") && r.endsWith(`/${object}`);
    const requestsBefore = proxy.requests.length;
    const read = requested("a read of etcdbackups/waiting", isReadOf("etcdbackups/waiting"));
    const listed = plurals.map((plural) => requested(`a list of ${plural}`, (r) => isList(r, plural)));
    proxy.cut();
    await Promise.all([...listed, read]);
    await renewed;
    await requested("two renewals more", isRenewal, 2);

    const readFinished = proxy.requests.slice(requestsBefore).filter(isReadOf("etcdbackups/small"));
    assert.deepEqual(readFinished, [], "a finished EtcdBackup costs no request at a list");
    const written = proxy.writes.slice(from).filter(({ request }) => !isRenewal(request));
    // The waiting backup increases the count of its event.
    const unexpected = written.filter(({ request }) => !/^(POST|PATCH) \S+\/events\b/.test(request));
    assert.deepEqual(unexpected, []);
    for (const { request, body } of written) assert.match(request + body, /waiting/);
    assert.equal(conditionOf(await bench.kube.backup("small"), "Finished")?.status, "True");
  });
});
