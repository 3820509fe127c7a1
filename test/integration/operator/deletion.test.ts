import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ListObjectVersionsCommand, PutObjectLegalHoldCommand } from "@aws-sdk/client-s3";
import { finalizer, forceDelete } from "../../../src/core/backup/decide.ts";
import { eventually } from "../../support/eventually.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf } from "../../support/custom-resources.ts";
import { isOwnership } from "../../support/files.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";
import { fillTwoParts } from "../../support/sample-data.ts";

describe("deleting an EtcdBackup", () => {
  let bench: Bench;
  let operator: Operator;

  before(async () => {
    bench = await startBench();
    await fillTwoParts(bench.etcd);
    operator = await startOperator(bench.api);
    await bench.addStore("kept");
    // Made long before its test, so that no timer of its run is left by then.
    await bench.addStore("back");
    await create("waits", "back", { deletionPolicy: "Delete" });
  });
  after(async () => {
    bench.s3.resume();
    operator.process.resume();
    await operator[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  const create = async (name: string, store: string, spec: object = {}) => {
    await bench.kube.apply(bench.backupObject(name, store, { ...spec }));
    await bench.kube.wait(`etcdbackup/${name}`, "condition=Succeeded");
    return bench.kube.backup(name);
  };
  const finalizersOf = async (name: string) => (await bench.kube.backup(name)).metadata.finalizers ?? [];
  const deleteBackup = (name: string) => bench.api.kubectl(["delete", "etcdbackup", name, "--wait=false"]);
  /** Deletes a store that an EtcdBackup needs, as a person can: by hand, without its finalizer. */
  const loseStore = async (name: string) => {
    await bench.api.kubectl(["delete", "etcdbackupstore", name, "--wait=false"]);
    const none = JSON.stringify({ metadata: { finalizers: null } });
    await bench.api.kubectl(["patch", "etcdbackupstore", name, "--type=merge", "-p", none]).catch(() => {});
    await bench.kube.wait(`etcdbackupstore/${name}`, "delete");
  };
  const isGone = (name: string) => bench.kube.wait(`etcdbackup/${name}`, "delete");
  /** Keys of the objects of an EtcdBackup's runs. */
  const objectsOf = async (bucket: string, uid: string) =>
    (await bench.objects(bucket)).filter((key) => key.includes(uid.replaceAll("-", "").slice(0, 12)));

  it("with policy Delete removes its manifest and data before the finalizer, and nothing of other backups", async () => {
    const other = await create("other", "kept");
    const deleted = await create("deleted", "kept", { deletionPolicy: "Delete" });
    assert.deepEqual(await finalizersOf("deleted"), [finalizer]);
    assert.equal((await objectsOf("kept", deleted.metadata.uid)).length, 2);
    await deleteBackup("deleted");
    await isGone("deleted");
    assert.deepEqual(await objectsOf("kept", deleted.metadata.uid), []);
    assert.equal((await objectsOf("kept", other.metadata.uid)).length, 2);
  });

  it("with policy Retain removes the object at once and nothing in the bucket", async () => {
    const { metadata } = await create("retained", "kept");
    assert.deepEqual(await finalizersOf("retained"), []);
    const stored = await bench.objects("kept");
    await deleteBackup("retained");
    await isGone("retained");
    assert.deepEqual(await bench.objects("kept"), stored);
    assert.equal((await objectsOf("kept", metadata.uid)).length, 2);
  });

  it("follows a change of the policy of a finished backup, which adds or removes the finalizer", async () => {
    const { metadata } = await create("changed", "kept");
    const policy = (value: string) =>
      bench.api.kubectl([
        "patch",
        "etcdbackup",
        "changed",
        "--type=merge",
        "-p",
        JSON.stringify({ spec: { deletionPolicy: value } }),
      ]);
    await policy("Delete");
    await bench.kube.wait("etcdbackup/changed", `jsonpath={.metadata.finalizers[0]}=${finalizer}`);
    await policy("Retain");
    await eventually("the finalizer is removed", async () => (await finalizersOf("changed")).length === 0);
    await policy("Delete");
    await bench.kube.wait("etcdbackup/changed", `jsonpath={.metadata.finalizers[0]}=${finalizer}`);
    const { metadata: now, status } = await bench.kube.backup("changed");
    assert.equal(now.generation, 4);
    assert.equal(status.conditions?.find(({ type }) => type === "Succeeded")?.status, "True");
    await bench.kube.wait("etcdbackup/changed", "jsonpath={.status.observedGeneration}=4");
    await deleteBackup("changed");
    await isGone("changed");
    assert.deepEqual(await objectsOf("kept", metadata.uid), []);
  });

  it("is blocked when the store is gone, until the object gets the force-delete annotation", async () => {
    await bench.addStore("lost");
    await create("orphan", "lost", { deletionPolicy: "Delete" });
    await loseStore("lost");
    await deleteBackup("orphan");
    await bench.kube.waitReason("etcdbackup/orphan", "Stalled", "DeletionBlocked");
    const blocked = await bench.kube.backup("orphan");
    assert.equal(conditionOf(blocked, "Stalled")?.status, "True");
    assert.match(
      conditionOf(blocked, "Stalled")?.message ?? "",
      /EtcdBackupStore lost does not exist.*force-delete/,
    );
    // The result of the backup is kept.
    assert.equal(conditionOf(blocked, "Succeeded")?.status, "True");
    assert.deepEqual(blocked.metadata.finalizers, [finalizer]);
    await eventually("the event DeletionBlocked is written", async () =>
      (await bench.kube.events("orphan")).some(
        ({ type, reason, note }) =>
          type === "Warning" &&
          reason === "DeletionBlocked" &&
          note.includes("EtcdBackupStore lost does not exist"),
      ),
    );
    await bench.api.kubectl(["annotate", "etcdbackup", "orphan", `${forceDelete}=yes`]);
    await isGone("orphan");
    assert.equal((await bench.objects("lost")).length, 2);
  });

  it("with versions Remove leaves no version, and is blocked while object lock keeps one", async () => {
    await bench.s3.createBucket("versions", { objectLock: true });
    const { spec } = bench.storeObject("versions") as { spec: { s3: object } };
    await bench.kube.apply(bench.storeObject("versions", { s3: { ...spec.s3, versions: "Remove" } }));
    const { metadata, status } = await create("versions", "versions", { deletionPolicy: "Delete" });
    const versions = async () => {
      const listed = await bench.raw.send(new ListObjectVersionsCommand({ Bucket: "versions" }));
      const all = [...(listed.Versions ?? []), ...(listed.DeleteMarkers ?? [])];
      return all.filter(({ Key }) => !isOwnership(Key ?? ""));
    };
    assert.equal((await versions()).length, 2);
    const Key = (await objectsOf("versions", metadata.uid)).find((key) => key.endsWith(".json"));
    const held = (Status: "ON" | "OFF") =>
      bench.raw.send(new PutObjectLegalHoldCommand({ Bucket: "versions", Key, LegalHold: { Status } }));
    await held("ON");
    await deleteBackup("versions");
    await bench.kube.waitReason("etcdbackup/versions", "Stalled", "DeletionBlocked");
    const message = conditionOf(await bench.kube.backup("versions"), "Stalled")?.message ?? "";
    assert.match(message, /is under object lock, by a legal hold \(wait until .* or set versions to Keep/);
    assert.deepEqual(await bench.manifests("versions"), [status.artifact?.name]);
    await held("OFF");
    // The operator tries again after a minute. A change of the object wakes it sooner.
    await bench.api.kubectl(["annotate", "etcdbackup", "versions", "test/wake=now"]);
    await isGone("versions");
    assert.deepEqual(await versions(), []);
    const [deleted] = (await bench.kube.events("versions")).filter(
      ({ reason }) => reason === "StoredBackupDeleted",
    );
    assert.match(deleted?.note ?? "", /as spec\.deletionPolicy says$/);
  });

  it("continues when the missing store is created again", async () => {
    await loseStore("back");
    await deleteBackup("waits");
    await bench.kube.waitReason("etcdbackup/waits", "Stalled", "DeletionBlocked");
    await bench.kube.apply(bench.storeObject("back"));
    await isGone("waits");
    assert.deepEqual(await bench.objects("back"), []);
  });

  it("is blocked while the store of its name has another bucket, and continues when it leads back", async () => {
    await bench.addStore("moved");
    await create("moves", "moved", { deletionPolicy: "Delete" });
    const { s3 } = (await bench.kube.store("moved")).spec;
    await loseStore("moved");
    await bench.kube.apply(bench.storeObject("moved", { s3: { ...s3, bucket: "kept" } }));
    await deleteBackup("moves");
    await bench.kube.waitReason("etcdbackup/moves", "Stalled", "DeletionBlocked");
    const message = conditionOf(await bench.kube.backup("moves"), "Stalled")?.message ?? "";
    assert.match(message, /stored in s3:\/\/moved\?endpoint=http.* is s3:\/\/kept\?endpoint=http/);
    assert.equal((await bench.objects("moved")).length, 2);
    await loseStore("moved");
    await bench.kube.apply(bench.storeObject("moved"));
    await isGone("moves");
    assert.deepEqual(await bench.objects("moved"), []);
  });

  it("is blocked by a ReadOnly store, from which nothing is removed", async () => {
    await bench.addStore("archive");
    await create("archived", "archive", { deletionPolicy: "Delete" });
    await bench.kube.apply(bench.storeObject("archive", { accessMode: "ReadOnly" }));
    await deleteBackup("archived");
    await bench.kube.waitReason("etcdbackup/archived", "Stalled", "DeletionBlocked");
    assert.match(
      conditionOf(await bench.kube.backup("archived"), "Stalled")?.message ?? "",
      /accessMode ReadOnly/,
    );
    assert.equal((await bench.objects("archive")).length, 2);
    await bench.kube.apply(bench.storeObject("archive", { accessMode: "ReadWrite" }));
    await isGone("archived");
    assert.deepEqual(await bench.objects("archive"), []);
  });

  /** The operator has sent the abort of the upload; a paused server does not answer it. */
  const abortIsSent = (bucket: string) =>
    eventually("the operator aborts the upload", async () =>
      bench.network.seen.some(({ operation, url }) => operation === "Abort" && url.startsWith(`/${bucket}/`)),
    );

  for (const deletionPolicy of ["Retain", "Delete"]) {
    it(`with policy ${deletionPolicy} ends the run during the upload and leaves nothing in the bucket`, async () => {
      const store = `cut-${deletionPolicy.toLowerCase()}`;
      await bench.addStore(store);
      await bench.kube.wait(`etcdbackupstore/${store}`, "condition=Ready");
      const part = bench.hold(
        ({ operation }) => operation === "Part",
        () => bench.s3.pause(),
      );
      await bench.kube.apply(bench.backupObject(store, store, { deletionPolicy }));
      await part.reached();
      const { metadata } = await bench.kube.backup(store);
      await deleteBackup(store);
      await abortIsSent(store);
      bench.s3.resume();
      part.release();
      await isGone(store);
      await eventually(
        "the unfinished upload is aborted",
        async () => (await bench.unfinished(store)).length === 0,
      );
      await eventually("no backup runs", async () =>
        /^etcd_backup_running 0$/m.test((await operator.get("/metrics"))?.body ?? ""),
      );
      assert.deepEqual(await objectsOf(store, metadata.uid), []);
      assert.deepEqual(await bench.unfinished(store), []);
      // The operator makes the next backup.
      await create(`after-${store}`, store);
    });
  }

  it("and creating another of the same name makes a new backup and leaves nothing of the deleted one", async () => {
    await bench.addStore("renamed");
    await bench.kube.wait("etcdbackupstore/renamed", "condition=Ready");
    const part = bench.hold(({ operation }) => operation === "Part");
    await bench.kube.apply(bench.backupObject("renamed", "renamed"));
    await part.reached();
    const first = await bench.kube.backup("renamed");
    // The paused operator never sees the state without an object of this name.
    operator.process.pause();
    await bench.api.kubectl(["delete", "etcdbackup", "renamed"]);
    await bench.kube.apply(bench.backupObject("renamed", "renamed"));
    operator.process.resume();
    await abortIsSent("renamed");
    part.release();
    await bench.kube.wait("etcdbackup/renamed", "condition=Succeeded");
    const { metadata, status } = await bench.kube.backup("renamed");
    assert.notEqual(metadata.uid, first.metadata.uid);
    assert.equal(status.attempts, 1);
    assert.deepEqual(await bench.manifests("renamed"), [status.artifact?.name]);
    assert.deepEqual(await objectsOf("renamed", first.metadata.uid), []);
    assert.deepEqual(await bench.unfinished("renamed"), []);
  });

  it("a store that becomes ReadOnly ends the run that writes to it", async () => {
    await bench.addStore("frozen");
    await bench.kube.wait("etcdbackupstore/frozen", "condition=Ready");
    const part = bench.hold(({ operation }) => operation === "Part");
    await bench.kube.apply(bench.backupObject("frozen", "frozen"));
    await part.reached();
    await bench.kube.apply(bench.storeObject("frozen", { accessMode: "ReadOnly" }));
    await bench.kube.wait("etcdbackup/frozen", "condition=Finished");
    part.release();
    const succeeded = conditionOf(await bench.kube.backup("frozen"), "Succeeded");
    assert.equal(succeeded?.status, "False");
    assert.equal(succeeded?.reason, "StoreNotReady", succeeded?.message);
    assert.deepEqual(await bench.objects("frozen"), []);
    assert.deepEqual(await bench.unfinished("frozen"), []);
  });
});
