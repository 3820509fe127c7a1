import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { EtcdBackupStatus } from "../../../src/api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStoreStatus } from "../../../src/api/v1alpha1/etcd-backup-store.ts";
import type { EtcdRestoreStatus } from "../../../src/api/v1alpha1/etcd-restore.ts";
import { rulesAt } from "../../../src/api/generate/reference.ts";
import { kinds } from "../../../src/api/v1alpha1/kinds.ts";
import type { Schema } from "../../../src/api/schema/schema.ts";
import { startApiServer } from "../../harness/api-server.ts";
import { retry } from "../../support/eventually.ts";
import { bounds, breakOne } from "./bounds.ts";
import * as backups from "./cases.ts";
import * as restores from "./cases-restore.ts";
import { assertNames, type CustomObject, causesOf, openCustomObjects } from "./client.ts";

const { backup } = backups;
const { restore } = restores;
const accepted = [...backups.accepted, ...restores.acceptedRestores];
const refused = [...backups.refused, ...restores.refusedRestores];
const acceptedChanges = [...backups.acceptedChanges, ...restores.acceptedRestoreChanges];
const refusedChanges = [...backups.refusedChanges, ...restores.refusedRestoreChanges];

const root = join(import.meta.dirname, "..", "..", "..");
const server = await startApiServer();
after(() => server[Symbol.asyncDispose]());
await server.applyCrds();
const { create, read, validate, change, replace, replaceStatus } = openCustomObjects(server.kubeconfigPath);

const seen = new Set<string>();

describe("creating", () => {
  for (const { name, kind, spec } of accepted) {
    test(`${name} is accepted`, async () => {
      await validate(kind, spec);
    });
  }
  for (const { name, kind, spec, field, message } of refused) {
    test(`${name} is refused at ${field}`, async () => {
      const causes = await causesOf(validate(kind, spec));
      assertNames(causes, field, message);
      for (const cause of causes) seen.add(`${kind} ${cause.field}: ${cause.message}`);
    });
  }
});

describe("changing", () => {
  for (const [index, { name, kind, from, to, field, message }] of refusedChanges.entries()) {
    test(`${kind}: ${name} is refused at ${field}`, async () => {
      const causes = await causesOf(change(kind, `refused-${index}`, from, to));
      assertNames(causes, field, message);
      for (const cause of causes) seen.add(`${kind} ${cause.field}: ${cause.message}`);
    });
  }
  for (const [index, { name, kind, from, to }] of acceptedChanges.entries()) {
    test(`${kind}: ${name} is accepted`, async () => {
      await change(kind, `accepted-${index}`, from, to);
    });
  }
});

test("every rule of every kind has refused something above", () => {
  const unseen = kinds.flatMap(({ kind, spec }) =>
    allRules("spec", spec)
      .filter(
        ({ path, message }) =>
          ![...seen].some((line) => line.startsWith(`${kind} ${path}: `) && line.includes(message)),
      )
      .map(({ path, message }) => `${kind} ${path}: ${message}`),
  );
  assert.deepEqual(unseen, []);
});

describe("one step too far", () => {
  for (const { kind, spec } of kinds) {
    const examples = accepted.filter((example) => example.kind === kind).map((example) => example.spec);
    for (const bound of bounds(spec, ["spec"])) {
      const broken = breakOne(examples, bound);
      test(`${kind}: ${broken?.field ?? bound.path.join(".")} ${bound.message}`, async () => {
        assert.ok(broken, "no accepted example sets this field: add one");
        assertNames(await causesOf(validate(kind, broken.spec)), broken.field, bound.message);
      });
    }
  }
});

const conditionRest = {
  observedGeneration: 1,
  lastTransitionTime: "2026-08-20T12:00:00Z",
  reason: "Succeeded",
  message: "",
};

describe("a fresh object", () => {
  test("has every default, and a status that says that nobody has seen it", async () => {
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

  test("has the defaults of the objects that it gives", async () => {
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
    assert.deepEqual(store.spec, { s3: { bucket: "etcd", forcePathStyle: false }, accessMode: "ReadWrite" });
  });

  test("is InProgress to kstatus, of any kind, until the operator has spoken", async () => {
    const fresh = await read("EtcdBackup", "fresh");
    assert.equal(kstatus(fresh), "InProgress");
    const condition = (type: string, status: string) => ({ type, status, ...conditionRest });
    const told = async (...conditions: object[]) =>
      kstatus(await replaceStatus("EtcdBackup", "fresh", { status: { observedGeneration: 1, conditions } }));
    assert.equal(await told(condition("Ready", "Unknown"), condition("Reconciling", "True")), "InProgress");
    assert.equal(await told(condition("Ready", "False"), condition("Stalled", "True")), "Failed");
    assert.equal(
      await told(
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
      "a new generation has not been seen",
    );

    await create("EtcdBackupStore", { file: { path: "/backups" } }, "fresh");
    assert.equal(kstatus(await read("EtcdBackupStore", "fresh")), "InProgress");
    await create("EtcdRestore", restore(), "fresh");
    assert.equal(kstatus(await read("EtcdRestore", "fresh")), "InProgress");
  });
});

describe("status", () => {
  const condition = { type: "Ready", status: "True", ...conditionRest };
  const { message: _, ...withoutMessage } = condition;
  const { observedGeneration: __, ...withoutGeneration } = condition;
  const rows: [name: string, conditions: object[], field: string, message: string][] = [
    ["two conditions of one type", [condition, condition], "status.conditions[]", "Duplicate value"],
    [
      "a condition with a fourth truth value",
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
      "a condition with a time that is none",
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

  test("and spec are written apart from one another", async () => {
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
    assert.equal(metadata.generation, 1, "a status does not make a new generation");
  });
});

describe("kubectl", () => {
  const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
  const conditions = (reason: string, succeeded: "True" | "False" | "Unknown") =>
    [
      { type: "Finished", status: succeeded === "Unknown" ? "False" : "True" } as const,
      { type: "Succeeded", status: succeeded } as const,
    ].map((condition) => ({ ...condition, ...conditionRest, reason }));
  const done = {
    observedGeneration: 1,
    conditions: conditions("Succeeded", "True"),
    runID: "k3v9x2",
    attempts: 1,
    startTime: minutesAgo(6),
    completionTime: minutesAgo(5),
    duration: "12.4s",
    member: {
      id: "8e9e05c52164694d",
      name: "etcd-1",
      endpoint: "https://10.0.0.12:2379",
      version: "3.6.16",
      isLeader: false,
      lag: 0,
      reason: "follower, least lag",
    },
    snapshot: {
      revision: 4711,
      hash: "c55fd2a",
      totalKeys: 900,
      pairs: 1000,
      liveKeys: 900,
      totalSizeBytes: 1288490188,
      size: "1.2 GiB",
      sha256: "0".repeat(64),
      etcdVersion: "3.6.16",
      clusterID: "cdf818194e3a8c32",
    },
    artifact: {
      name: "20260820T120000Z-r00000000000000004711-k3v9x2",
      url: "s3://etcd-backups/prod/20260820T120000Z-k3v9x2.db.zst",
      manifestURL: "s3://etcd-backups/prod/20260820T120000Z-r00000000000000004711-k3v9x2.json",
      storedBytes: 600000000,
      compression: "Zstd",
      crc32c: "01234567",
      proof: "FullObjectCRC32C",
    },
  } satisfies EtcdBackupStatus;
  const reachable = {
    observedGeneration: 1,
    conditions: [{ type: "Ready", status: "True", ...conditionRest, reason: "Reachable" }],
    url: "s3://etcd-backups",
    lastProbeTime: minutesAgo(1),
    capabilities: { conditionalWrites: true, checksums: true, objectLock: false },
    backups: 28,
    latestBackup: { name: "b", clusterName: "prod", revision: 4711, completionTime: minutesAgo(5) },
  } satisfies EtcdBackupStoreStatus;
  const restored = {
    observedGeneration: 1,
    conditions: conditions("Succeeded", "True"),
    source: {
      name: "20260820T120000Z-r00000000000000004711-k3v9x2",
      clusterName: "prod",
      url: "s3://etcd-backups/prod/20260820T120000Z-k3v9x2.db.zst",
      revision: 4711,
      hash: "c55fd2a",
      sha256: "0".repeat(64),
      totalSizeBytes: 1288490188,
      size: "1.2 GiB",
      etcdVersion: "3.6.16",
      liveKeys: 900,
    },
    durations: { total: "17s" },
  } satisfies EtcdRestoreStatus;
  const cells = (output: string) =>
    output
      .trimEnd()
      .split("\n")
      .map((line) => line.trim().split(/ {2,}/));

  test("wait returns when the backup has succeeded", async () => {
    await create("EtcdBackup", backup(), "done");
    const waiting = server.kubectl(["wait", "--for=condition=Succeeded", "etcdbackup/done", "--timeout=60s"]);
    await replaceStatus("EtcdBackup", "done", {
      status: { observedGeneration: 1, conditions: conditions("Streaming", "Unknown") },
    });
    await replaceStatus("EtcdBackup", "done", { status: done });
    assert.match(await waiting, /done condition met/);
  });

  test("wait for Finished returns when the backup has failed, and for Succeeded it does not", async () => {
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
    assert.deepEqual(row?.slice(-4), ["etcd-1", "c55fd2a", "12.4s", done.artifact.url]);
  });

  test("get prints the columns of a store", async () => {
    await create("EtcdBackupStore", { s3: { bucket: "etcd-backups" } }, "twin");
    await replaceStatus("EtcdBackupStore", "twin", { status: reachable });
    const [header, row] = cells(await server.kubectl(["get", "ebstore", "twin"]));
    assert.deepEqual(header, ["NAME", "READY", "REASON", "LOCATION", "BACKUPS", "LATEST", "AGE"]);
    assert.deepEqual(row?.slice(0, 5), ["twin", "True", "Reachable", "s3://etcd-backups", "28"]);
    assert.match(row?.[5] ?? "", /^5m/);
  });

  test("get prints the columns of a restore, and wide what it was made of", async () => {
    await create("EtcdRestore", restore(), "back");
    await replaceStatus("EtcdRestore", "back", { status: restored });
    const [header, row] = cells(await server.kubectl(["get", "er", "back"]));
    assert.deepEqual(header, ["NAME", "TARGET", "STATUS", "REVISION", "SIZE", "DURATION", "AGE"]);
    assert.deepEqual(row?.slice(0, 6), ["back", "back", "Succeeded", "4711", "1.2 GiB", "17s"]);
    const [wide, more] = cells(await server.kubectl(["get", "er", "back", "-o", "wide"]));
    assert.deepEqual(wide?.slice(-3), ["BACKUP", "MEMBERS", "MESSAGE"]);
    assert.equal(more?.[7], restored.source.name);
  });

  test("get etcd-backup lists every kind, and get etcdbackup NAME one backup, though a store has the same name", async () => {
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

  test("apply takes the samples", async () => {
    const take = async (directory: string) =>
      server.kubectl(["apply", "--dry-run=server", "--validate=strict", "-f", join(root, directory)]);
    assert.equal((await take("deploy/samples")).trimEnd().split("\n").length, 4);
    assert.match(await take("deploy/examples/restore"), /etcdrestore.* created/);
  });

  test("explain tells what a field means", async () => {
    // the API server publishes the schema of a new kind some moments after it serves the kind
    const explain = () => server.kubectl(["explain", "etcdbackup.spec.etcd.memberSelection.maxLag"]);
    const explained = await retry("kubectl explains the field", explain, 20);
    assert.match(explained, /How many raft entries a member may be behind/);
  });
});

/** What kstatus (cli-utils/pkg/kstatus/status) makes of a custom resource; Flux and `helm --wait` go by it. */
function kstatus({ metadata, status }: CustomObject): "InProgress" | "Terminating" | "Failed" | "Current" {
  const is = (type: string, value: string) =>
    status?.conditions?.some((condition) => condition.type === type && condition.status === value) ?? false;
  if (metadata.deletionTimestamp !== undefined) return "Terminating";
  if (status?.observedGeneration !== undefined && status.observedGeneration !== metadata.generation)
    return "InProgress";
  if (is("Stalled", "True")) return "Failed";
  if (is("Reconciling", "True") || is("Ready", "False") || is("Ready", "Unknown")) return "InProgress";
  return "Current";
}

function allRules(path: string, schema: Schema): { path: string; message: string }[] {
  const inner =
    schema.type === "object" && "properties" in schema
      ? Object.entries(schema.properties).flatMap(([name, property]) => allRules(`${path}.${name}`, property))
      : [];
  return [...rulesAt(path, schema), ...inner];
}
