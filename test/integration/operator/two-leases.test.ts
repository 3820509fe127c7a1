import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf } from "../../support/custom-resources.ts";
import { eventually } from "../../support/eventually.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";
import { fillTwoParts } from "../../support/sample-data.ts";

/** The shortest one. */
const holdSeconds = 15;

describe("two operators with different Leases over the same objects", () => {
  let bench: Bench;
  const operators = new Map<string, Operator>();
  before(async () => {
    bench = await startBench();
    await fillTwoParts(bench.etcd);
    await Promise.all([start("east"), start("west")]);
  });
  after(async () => {
    bench.network.fault = () => undefined;
    for (const operator of operators.values()) await operator[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  async function start(lease: string): Promise<void> {
    const args = ["--lease-name", lease, "--lease-duration", "5", "--hold-duration", String(holdSeconds)];
    operators.set(lease, await startOperator(bench.api, { args }));
  }
  const operatorOf = (lease: string) =>
    operators.get(lease) ?? assert.fail(`no operator has the Lease ${lease}`);
  /** The Lease of the operator that holds a store. */
  const holderOf = async (store: string) => {
    const lease = (await bench.kube.store(store)).status.operator?.lease ?? "";
    return /^default\/(east|west)$/.exec(lease)?.[1] ?? assert.fail(`the holder is "${lease}"`);
  };
  const other = (lease: string) => (lease === "east" ? "west" : "east");
  const foreignStores = async (lease: string) =>
    Number(
      /^etcd_backup_operator_foreign_stores (\d+)$/m.exec(
        (await operatorOf(lease).get("/metrics"))?.body ?? "",
      )?.[1],
    );

  it("make each of 20 EtcdBackups once, without a failure, and one of them says that it leaves it alone", async () => {
    const stores = ["one", "two"];
    for (const store of stores) await bench.addStore(store);
    const names = stores.flatMap((store) =>
      Array.from({ length: 10 }, (_, n) => ({ store, name: `${store}-${n}` })),
    );
    await bench.kube.apply(...names.map(({ store, name }) => bench.backupObject(name, store)));
    for (const { name } of names)
      await bench.kube.wait(`etcdbackup/${name}`, "condition=Finished", { seconds: 120 });
    const backups = await Promise.all(names.map(({ name }) => bench.kube.backup(name)));
    for (const backup of backups) {
      assert.equal(conditionOf(backup, "Succeeded")?.status, "True", JSON.stringify(backup.status));
      assert.equal(backup.status.attempts, 1, backup.metadata.name);
    }
    for (const store of stores) {
      const made = backups.filter(({ spec }) => spec.storeRef.name === store);
      const artifacts = made.map(({ status }) => status.artifact?.name);
      assert.deepEqual((await bench.manifests(store)).toSorted(), artifacts.toSorted());
      assert.equal((await bench.objects(store)).length, 20, "a data object and a manifest each");
      assert.deepEqual(await bench.unfinished(store), []);
    }
    for (const { name } of names)
      assert.deepEqual(
        (await bench.kube.events(name)).filter(({ type }) => type === "Warning"),
        [],
      );
    for (const store of stores) {
      const lease = await holderOf(store);
      await eventually("the other operator reports the store", async () =>
        (await bench.kube.events(store)).some(
          ({ reason, note }) =>
            reason === "HeldByAnotherOperator" &&
            note ===
              `held by the operator with Lease default/${lease}; the operator with Lease default/${other(lease)} leaves it alone`,
        ),
      );
    }
    await eventually(
      "the metrics count both stores",
      async () => (await foreignStores("east")) + (await foreignStores("west")) === 2,
    );
  });

  it("when the holder is killed during an upload the other one takes over and ends the backup", async () => {
    await bench.addStore("left");
    await bench.kube.wait("etcdbackupstore/left", "condition=Ready");
    const part = bench.hold(({ operation }) => operation === "Part");
    await bench.kube.apply(bench.backupObject("left", "left", { deletionPolicy: "Delete" }));
    await part.reached();
    const dead = await holderOf("left");
    await operatorOf(dead).process.kill();
    part.release();
    const held = await bench.kube.backup("left");
    await bench.kube.wait("etcdbackup/left", "condition=Succeeded", { seconds: 120 });
    assert.equal(await holderOf("left"), other(dead));
    const made = await bench.kube.backup("left");
    assert.deepEqual([held.status.attempts, made.status.attempts], [1, 2]);
    assert.deepEqual(await bench.manifests("left"), [made.status.artifact?.name]);
    assert.equal((await bench.objects("left")).length, 2, "data and manifest");
    await eventually("the takeover is recorded", async () =>
      (await bench.kube.events("left")).some(({ reason }) => reason === "TakenOver"),
    );
    // The former holder comes back and leaves alone what it has lost.
    await start(dead);
    await eventually("it reports the store", async () => (await foreignStores(dead)) >= 1);
    await bench.api.kubectl(["delete", "etcdbackup", "left", "--timeout=30s"]);
    assert.deepEqual(await bench.objects("left"), []);
    assert.equal(await holderOf("left"), other(dead));
  });

  it("when a person removes the hold of an operator that no longer runs the other one begins at once", async () => {
    const gone = await holderOf("left");
    await operatorOf(gone).process.kill();
    const remove = JSON.stringify([{ op: "remove", path: "/status/operator" }]);
    await bench.api.kubectl([
      ...["patch", "etcdbackupstore", "left", "--subresource=status", "--type=json", "-p", remove],
    ]);
    await eventually(
      "the other operator holds the store",
      async () => (await bench.kube.store("left")).status.operator?.lease === `default/${other(gone)}`,
      holdSeconds / 2,
    );
  });
});
