import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { kinds } from "../../../src/api/v1alpha1/kinds.ts";
import { startApiServer } from "../../harness/api-server.ts";
import { retry } from "../../support/eventually.ts";
import { backup } from "./cases-backup.ts";
import { restore } from "./cases-restore.ts";
import { schedule } from "./cases-schedule.ts";
import { assertNames, causesOf, openCustomObjects } from "./client.ts";
import { kstatus } from "./kstatus.ts";
import {
  conditionRest,
  conditions,
  reachableStore,
  succeededBackup,
  succeededRestore,
} from "./sample-statuses.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const server = await startApiServer();
after(() => server[Symbol.asyncDispose]());
await server.applyCrds();
const { create, read, validate, replace, replaceStatus } = openCustomObjects(server.kubeconfigPath);

describe("a new object", () => {
  test("has every default and observedGeneration -1", async () => {
    await create("EtcdBackup", backup(), "fresh");
    const { spec, status } = await read("EtcdBackup", "fresh");
    assert.deepEqual(spec, {
      ...backup(),
      etcd: {
        endpoints: ["https://10.0.0.11:2379", "https://10.0.0.12:2379"],
        memberSelection: { prefer: "Follower", maxLag: 1000, allowWithoutQuorum: false },
      },
      compression: "Zstd",
      verification: { readBack: false, hashKV: "WhenAvailable" },
      deletionPolicy: "Retain",
      timeoutSeconds: 3600,
      backoffLimit: 3,
    });
    assert.deepEqual(status, { observedGeneration: -1 });
  });

  test("has the defaults of the nested objects that its spec gives", async () => {
    const service = await validate(
      "EtcdBackup",
      backup({ etcd: { service: { name: "etcd" }, memberSelection: { prefer: "Any" } } }),
    );
    assert.partialDeepStrictEqual(service.spec, {
      etcd: {
        service: { name: "etcd", port: 2379, scheme: "https" },
        memberSelection: { prefer: "Any", maxLag: 1000, allowWithoutQuorum: false },
      },
    });
    const pods = await validate("EtcdBackup", backup({ etcd: { podSelector: { matchLabels: { a: "b" } } } }));
    assert.partialDeepStrictEqual(pods.spec, { etcd: { podSelector: { port: 2379, scheme: "https" } } });
    const back = await validate(
      "EtcdRestore",
      restore({ source: { store: { storeRef: { name: "a" }, clusterName: "b" } } }),
    );
    assert.partialDeepStrictEqual(back.spec, {
      source: { store: { backup: "latest" } },
      target: { cluster: { replicas: 3, imagePullPolicy: "IfNotPresent" } },
      revisionBump: 1_000_000_000,
      timeoutSeconds: 3600,
      backoffLimit: 3,
    });
    const store = await validate("EtcdBackupStore", { s3: { bucket: "etcd" } });
    assert.deepEqual(store.spec, {
      s3: { bucket: "etcd", forcePathStyle: false, checksum: "Auto", versions: "Keep" },
      accessMode: "ReadWrite",
      catalog: { import: true, importLimit: 30 },
    });
    const daily = await validate("EtcdBackupSchedule", schedule());
    assert.partialDeepStrictEqual(daily.spec, {
      timeZone: "UTC",
      suspend: false,
      runImmediately: false,
      failedHistoryLimit: 5,
      template: { spec: { compression: "Zstd", timeoutSeconds: 3600 } },
    });
  });

  test("of any kind is InProgress in kstatus until the operator writes its status", async () => {
    const fresh = await read("EtcdBackup", "fresh");
    assert.equal(kstatus(fresh), "InProgress");
    const condition = (type: string, status: string) => ({ type, status, ...conditionRest });
    const kstatusWith = async (...conditions: object[]) =>
      kstatus(await replaceStatus("EtcdBackup", "fresh", { status: { observedGeneration: 1, conditions } }));
    assert.equal(
      await kstatusWith(condition("Ready", "Unknown"), condition("Reconciling", "True")),
      "InProgress",
    );
    assert.equal(await kstatusWith(condition("Ready", "False"), condition("Stalled", "True")), "Failed");
    assert.equal(
      await kstatusWith(
        condition("Ready", "True"),
        condition("Reconciling", "False"),
        condition("Stalled", "False"),
      ),
      "Current",
    );
    await replace("EtcdBackup", "fresh", { spec: backup({ deletionPolicy: "Delete" }) });
    assert.equal(
      kstatus(await read("EtcdBackup", "fresh")),
      "InProgress",
      "the new generation is not observed yet",
    );

    await create("EtcdBackupStore", { file: { path: "/backups" } }, "fresh");
    assert.equal(kstatus(await read("EtcdBackupStore", "fresh")), "InProgress");
    await create("EtcdRestore", restore(), "fresh");
    assert.equal(kstatus(await read("EtcdRestore", "fresh")), "InProgress");
    await create("EtcdBackupSchedule", schedule(), "fresh");
    assert.equal(kstatus(await read("EtcdBackupSchedule", "fresh")), "InProgress");
  });
});

describe("status", () => {
  const condition = { type: "Ready", status: "True", ...conditionRest };
  const { message: _, ...withoutMessage } = condition;
  const { observedGeneration: __, ...withoutGeneration } = condition;
  const rows: [name: string, conditions: object[], field: string, message: string][] = [
    ["two conditions of one type", [condition, condition], "status.conditions[]", "Duplicate value"],
    [
      "a condition with an unknown status",
      [{ ...condition, status: "Maybe" }],
      "status.conditions[].status",
      "Unsupported value",
    ],
    [
      "a condition without a reason",
      [{ ...condition, reason: "" }],
      "status.conditions[].reason",
      "should be at least 1 chars long",
    ],
    [
      "a condition with a reason of two words",
      [{ ...condition, reason: "Not ready" }],
      "status.conditions[].reason",
      "should match",
    ],
    [
      "a condition with a type of two words",
      [{ ...condition, type: "Not ready" }],
      "status.conditions[].type",
      "should match",
    ],
    [
      "a condition with an invalid time",
      [{ ...condition, lastTransitionTime: "now" }],
      "status.conditions[].lastTransitionTime",
      "date-time",
    ],
    ["a condition without a message", [withoutMessage], "status.conditions[].message", "Required value"],
    [
      "a condition without a generation",
      [withoutGeneration],
      "status.conditions[].observedGeneration",
      "Required value",
    ],
  ];
  for (const { kind } of kinds) {
    for (const [name, conditions, field, message] of rows) {
      test(`${kind}: ${name} is refused`, async () => {
        const status = { observedGeneration: 1, conditions };
        assertNames(await causesOf(replaceStatus(kind, "fresh", { status })), field, message);
      });
    }
  }

  test("is written apart from the spec", async () => {
    await create("EtcdBackup", backup(), "apart");
    await replace("EtcdBackup", "apart", { status: { observedGeneration: 7 } });
    assert.deepEqual((await read("EtcdBackup", "apart")).status, { observedGeneration: -1 });
    await replaceStatus("EtcdBackup", "apart", {
      spec: backup({ deletionPolicy: "Delete" }),
      status: { observedGeneration: 1 },
    });
    const { metadata, spec, status } = await read("EtcdBackup", "apart");
    assert.deepEqual(status, { observedGeneration: 1 });
    assert.partialDeepStrictEqual(spec, { deletionPolicy: "Retain" });
    assert.equal(metadata.generation, 1, "a status does not change the generation");
  });
});

describe("kubectl", () => {
  const cells = (output: string) =>
    output
      .trimEnd()
      .split("\n")
      .map((line) => line.trim().split(/ {2,}/));

  test("wait --for=condition=Succeeded returns when the backup has succeeded", async () => {
    await create("EtcdBackup", backup(), "done");
    const waiting = server.kubectl(["wait", "--for=condition=Succeeded", "etcdbackup/done", "--timeout=60s"]);
    await replaceStatus("EtcdBackup", "done", {
      status: { observedGeneration: 1, conditions: conditions("Streaming", "Unknown") },
    });
    await replaceStatus("EtcdBackup", "done", { status: succeededBackup });
    assert.match(await waiting, /done condition met/);
  });

  test("wait --for=condition=Finished returns when the backup has failed", async () => {
    await create("EtcdBackup", backup({ clusterName: "stage", storeRef: { name: "other" } }), "failed");
    const waiting = server.kubectl(["wait", "--for=condition=Finished", "eb/failed", "--timeout=60s"]);
    await replaceStatus("EtcdBackup", "failed", {
      status: { observedGeneration: 1, conditions: conditions("UploadFailed", "False") },
    });
    assert.match(await waiting, /failed condition met/);
    await assert.rejects(server.kubectl(["wait", "--for=condition=Succeeded", "eb/failed", "--timeout=0s"]));
  });

  test("get prints the columns of a backup", async () => {
    const [header, ...rows] = cells(await server.kubectl(["get", "etcdbackups", "done", "failed"]));
    assert.deepEqual(header, ["NAME", "CLUSTER", "STATUS", "REVISION", "SIZE", "COMPLETED", "AGE"]);
    assert.deepEqual(rows[0]?.slice(0, 5), ["done", "prod", "Succeeded", "4711", "1.2 GiB"]);
    assert.match(rows[0]?.[5] ?? "", /^5m/);
    assert.deepEqual(rows[1]?.slice(0, 3), ["failed", "stage", "UploadFailed"]);
  });

  test("get -o wide adds member, hash, duration and URL", async () => {
    const [header, row] = cells(await server.kubectl(["get", "eb", "done", "-o", "wide"]));
    assert.deepEqual(header?.slice(-4), ["MEMBER", "HASH", "DURATION", "URL"]);
    assert.deepEqual(row?.slice(-4), ["etcd-1", "c55fd2a", "12.4s", succeededBackup.artifact.url]);
  });

  test("get prints the columns of a store", async () => {
    await create("EtcdBackupStore", { s3: { bucket: "etcd-backups" } }, "twin");
    await replaceStatus("EtcdBackupStore", "twin", { status: reachableStore });
    const [header, row] = cells(await server.kubectl(["get", "ebstore", "twin"]));
    assert.deepEqual(header, ["NAME", "READY", "REASON", "LOCATION", "BACKUPS", "LATEST", "AGE"]);
    assert.deepEqual(row?.slice(0, 5), ["twin", "True", "Reachable", "s3://etcd-backups", "28"]);
    assert.match(row?.[5] ?? "", /^5m/);
  });

  test("get prints the columns of a restore, with -o wide also its backup", async () => {
    await create("EtcdRestore", restore(), "back");
    await replaceStatus("EtcdRestore", "back", { status: succeededRestore });
    const [header, row] = cells(await server.kubectl(["get", "er", "back"]));
    assert.deepEqual(header, ["NAME", "TARGET", "STATUS", "REVISION", "SIZE", "DURATION", "AGE"]);
    assert.deepEqual(row?.slice(0, 6), ["back", "back", "Succeeded", "4711", "1.2 GiB", "17s"]);
    const [wideHeader, wideRow] = cells(await server.kubectl(["get", "er", "back", "-o", "wide"]));
    assert.deepEqual(wideHeader?.slice(-3), ["BACKUP", "MEMBERS", "MESSAGE"]);
    assert.equal(wideRow?.[7], succeededRestore.source.name);
  });

  test("get etcd-backup lists every kind, and get etcdbackup NAME only the backup of that name", async () => {
    await create("EtcdBackup", backup(), "twin");
    const all = await server.kubectl(["get", "etcd-backup", "-o", "name"]);
    assert.match(all, /^etcdbackup\.etcdbackup\.dev\/twin$/m);
    assert.match(all, /^etcdbackupstore\.etcdbackup\.dev\/twin$/m);
    assert.equal(
      await server.kubectl(["get", "etcdbackup", "twin", "-o", "name"]),
      "etcdbackup.etcdbackup.dev/twin\n",
    );
  });

  test("get selects by cluster and by store", async () => {
    const select = (selector: string) =>
      server.kubectl(["get", "eb", "--field-selector", selector, "-o", "name"]);
    assert.equal(await select("spec.clusterName=stage"), "etcdbackup.etcdbackup.dev/failed\n");
    assert.equal(await select("spec.storeRef.name=other"), "etcdbackup.etcdbackup.dev/failed\n");
    assert.equal(await select("spec.clusterName=nobody"), "");
  });

  test("diff finds nothing to change after apply", async () => {
    const crds = join(root, "crds");
    await server.kubectl(["apply", "--server-side", "--force-conflicts", "-f", crds]);
    assert.equal(await server.kubectl(["diff", "--server-side", "--force-conflicts", "-f", crds]), "");
  });

  test("explain prints the description of a field", async () => {
    // The API server publishes the schema of a new kind some time after it serves the kind.
    const explain = () => server.kubectl(["explain", "etcdbackup.spec.etcd.memberSelection.maxLag"]);
    const explained = await retry("kubectl explains the field", explain, 20);
    assert.match(explained, /How many raft entries a member may be behind/);
  });
});
