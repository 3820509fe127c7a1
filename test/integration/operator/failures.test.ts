import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { freePorts, tempDir } from "../../harness/process.ts";
import { eventually } from "../../support/eventually.ts";
import { type Bench, secretsOf, startBench } from "../../support/bench.ts";
import { conditionOf, secret, statusesOf } from "../../support/custom-resources.ts";
import { backupFilesBelow } from "../../support/files.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";

const password = "pass-word-of-etcd-root";
const failed = {
  Finished: "True",
  Succeeded: "False",
  Ready: "False",
  Reconciling: "False",
  Stalled: "True",
};

// The cases run at the same time: each has its own objects and bucket and mostly waits.
describe("the operator reports what prevents a backup and goes on when it is fixed", {
  concurrency: 10,
}, () => {
  let bench: Bench;
  let operator: Operator;
  let directory: Awaited<ReturnType<typeof tempDir>>;

  before(async () => {
    bench = await startBench({ etcd: { auth: { username: "root", password } } });
    directory = await tempDir("file-store");
    await bench.etcd.etcdctl(["put", "a", "1"]);
    operator = await startOperator(bench.api, {
      args: ["--max-concurrent-backups", "4", "--host-path-namespaces", "trusted"],
    });
  });
  after(async () => {
    await operator[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  const assertSucceeds = (name: string, namespace = "default") =>
    bench.kube.wait(`etcdbackup/${name}`, "condition=Succeeded", { namespace });
  const assertFails = async (name: string, reason: string, namespace = "default") => {
    await bench.kube.wait(`etcdbackup/${name}`, "condition=Finished", { namespace });
    const backup = await bench.kube.backup(name, namespace);
    const succeeded = conditionOf(backup, "Succeeded");
    assert.equal(succeeded?.reason, reason, succeeded?.message);
    assert.deepEqual(statusesOf(backup), failed);
    assert.notEqual(backup.status.completionTime, undefined);
    return { backup, message: succeeded?.message ?? "" };
  };
  /** Waits for a Warning with this reason and returns its note. */
  const warningOf = async (name: string, reason: string, namespace = "default"): Promise<string> => {
    let note = "";
    await eventually(`event ${reason} about ${name}`, async () => {
      const events = await bench.kube.events(name, namespace);
      note = events.find((event) => event.type === "Warning" && event.reason === reason)?.note ?? "";
      return note !== "";
    });
    return note;
  };

  it("a missing Secret: the condition names it, and the next attempt after its creation succeeds", async () => {
    await bench.addStore("late-secret");
    await bench.kube.apply(
      bench.backupObject("late-secret", "late-secret", {
        etcd: { auth: { secretRef: { name: "not-yet" } } },
      }),
    );
    await bench.kube.waitReason("etcdbackup/late-secret", "Succeeded", "Retrying");
    const waiting = await bench.kube.backup("late-secret");
    assert.equal(conditionOf(waiting, "Succeeded")?.status, "Unknown");
    assert.equal(conditionOf(waiting, "Reconciling")?.status, "True");
    assert.match(conditionOf(waiting, "Succeeded")?.message ?? "", /Secret default\/not-yet does not exist/);
    assert.match(await warningOf("late-secret", "CredentialsNotFound"), /not-yet/);
    await bench.kube.apply(secret("not-yet", { username: "root", password }));
    await assertSucceeds("late-secret");
    const { status } = await bench.kube.backup("late-secret");
    assert.equal(status.attempts, 2);
    assert.equal(status.nextAttemptTime, undefined);
  });

  it("a missing Secret of the store: store and backup wait for it and go on when it is created", async () => {
    await bench.addStore("late-keys", {
      s3: {
        endpoint: bench.network.endpoint,
        forcePathStyle: true,
        bucket: "late-keys",
        credentialsSecretRef: { name: "late-keys" },
      },
    });
    await bench.kube.apply(bench.backupObject("late-keys", "late-keys"));
    await bench.kube.waitReason("etcdbackupstore/late-keys", "Ready", "CredentialsNotFound");
    await bench.kube.waitReason("etcdbackup/late-keys", "Succeeded", "Retrying");
    assert.match(
      conditionOf(await bench.kube.backup("late-keys"), "Succeeded")?.message ?? "",
      /Secret default\/late-keys does not exist/,
    );
    await bench.kube.apply(
      secret("late-keys", {
        AWS_ACCESS_KEY_ID: bench.s3.accessKeyId,
        AWS_SECRET_ACCESS_KEY: bench.s3.secretAccessKey,
      }),
    );
    await assertSucceeds("late-keys");
    assert.equal((await bench.kube.backup("late-keys")).status.attempts, 2);
    await bench.kube.wait("etcdbackupstore/late-keys", "condition=Ready");
    await bench.kube.wait("etcdbackupstore/late-keys", "jsonpath={.status.backups}=1");
  });

  it("an etcd that does not answer: the backup fails after backoffLimit more attempts", async () => {
    const [port = 0] = await freePorts(1);
    const etcd = { endpoints: [`http://127.0.0.1:${port}`] };
    await bench.addStore("no-etcd");
    await bench.kube.apply(
      bench.backupObject("once", "no-etcd", { etcd, backoffLimit: 0 }),
      bench.backupObject("twice", "no-etcd", { etcd, backoffLimit: 1 }),
    );
    const once = await assertFails("once", "BackoffLimitExceeded");
    assert.equal(once.backup.status.attempts, 1);
    assert.match(once.message, new RegExp(`^1 attempt failed.*127\\.0\\.0\\.1:${port}.*connection refused`));
    assert.match(await warningOf("once", "NoUsableMember"), /connection refused/);
    await bench.kube.waitReason("etcdbackup/twice", "Succeeded", "Retrying");
    const next = (await bench.kube.backup("twice")).status.nextAttemptTime;
    assert.notEqual(next, undefined);
    const twice = await assertFails("twice", "BackoffLimitExceeded");
    assert.equal(twice.backup.status.attempts, 2);
    assert.match(twice.message, /^2 attempts failed/);
    assert.equal(twice.backup.status.nextAttemptTime, undefined);
    assert.deepEqual(await bench.objects("no-etcd"), []);
    const { body = "" } = (await operator.get("/metrics")) ?? {};
    assert.match(body, /^etcd_backup_total\{namespace="default",cluster="prod",result="failed"\} [1-9]/m);
  });

  it("a backup that takes too long: all attempts together end after timeoutSeconds", async () => {
    const [port = 0] = await freePorts(1);
    await bench.addStore("timeout");
    await bench.kube.apply(
      bench.backupObject("timeout", "timeout", {
        etcd: { endpoints: [`http://127.0.0.1:${port}`] },
        timeoutSeconds: 10,
        backoffLimit: 10,
      }),
    );
    const { backup, message } = await assertFails("timeout", "TimedOut");
    assert.match(message, /no time is left .* within 10 s; the last error: .*connection refused/);
    assert.equal(backup.status.attempts, 1);
  });

  it("a ReadOnly store: it is ready, and nothing is written to it", async () => {
    await bench.addStore("read-only", { accessMode: "ReadOnly" });
    await bench.kube.waitReason("etcdbackupstore/read-only", "Ready", "ReadOnly");
    const store = await bench.kube.store("read-only");
    assert.equal(conditionOf(store, "Ready")?.status, "True");
    assert.equal(store.status.backups, 0);
    await bench.kube.apply(bench.backupObject("read-only", "read-only"));
    const { message } = await assertFails("read-only", "StoreNotReady");
    assert.match(message, /ReadOnly/);
    const writes = bench.network.seen.filter(
      ({ operation, url }) =>
        !["Head", "Get", "List", "Other"].includes(operation) && url.includes("/read-only"),
    );
    assert.deepEqual(writes, []);
    assert.deepEqual(await bench.objects("read-only"), []);
  });

  it("a store in a directory of the operator's host: only the namespaces of the flag may use it", async () => {
    await bench.api.kubectl(["create", "namespace", "trusted"]);
    await bench.kube.apply(...secretsOf(bench.etcd, bench.s3, { username: "root", password }, "trusted"));
    const path = join(directory.path, "backups");
    await mkdir(path);
    for (const namespace of ["trusted", "default"]) {
      await bench.kube.apply(
        bench.storeObject("disk", { s3: undefined, file: { path } }, namespace),
        bench.backupObject("disk", "disk", {}, namespace),
      );
    }
    await assertSucceeds("disk", "trusted");
    assert.equal(
      (await bench.kube.backup("disk", "trusted")).status.artifact?.url.startsWith(`file://${path}/prod/`),
      true,
    );
    const { message } = await assertFails("disk", "InvalidConfiguration");
    assert.match(message, /namespace default may not/);
    await bench.kube.waitReason("etcdbackupstore/disk", "Ready", "InvalidConfiguration");
    await bench.kube.wait("etcdbackupstore/disk", "condition=Ready", { namespace: "trusted" });
    assert.equal((await backupFilesBelow(path)).length, 2);
  });

  it("certificate files of the operator's host: only the namespaces of the flag may use them", async () => {
    await bench.addStore("files");
    const [port = 0] = await freePorts(1);
    await bench.kube.apply(
      bench.backupObject("files", "files", {
        etcd: { endpoints: [`https://127.0.0.1:${port}`], tls: { files: { ca: "/etc/hostname" } } },
      }),
    );
    const { message } = await assertFails("files", "InvalidConfiguration");
    assert.match(message, /spec\.etcd\.tls\.files.*namespace default may not/);
  });

  it("a store that cannot be used: its condition gives the reason until spec or server are fixed", async () => {
    const { kube, network, s3 } = bench;
    const s3Of = (fields: object) => ({
      s3: {
        endpoint: network.endpoint,
        forcePathStyle: true,
        bucket: "mended",
        credentialsSecretRef: { name: "s3" },
        ...fields,
      },
    });
    const [port = 0] = await freePorts(1);
    await s3.createBucket("mended");
    await kube.apply(
      secret("wrong-keys", { AWS_ACCESS_KEY_ID: s3.accessKeyId, AWS_SECRET_ACCESS_KEY: "wrong-hunter2" }),
      bench.storeObject("wrong-keys", s3Of({ credentialsSecretRef: { name: "wrong-keys" } })),
      bench.storeObject("no-bucket", s3Of({ bucket: "not-there-yet" })),
      bench.storeObject("unreachable", s3Of({ endpoint: `http://127.0.0.1:${port}` })),
    );
    await kube.waitReason("etcdbackupstore/wrong-keys", "Ready", "Unauthorized");
    await kube.waitReason("etcdbackupstore/no-bucket", "Ready", "BucketNotFound");
    await kube.waitReason("etcdbackupstore/unreachable", "Ready", "Unreachable");
    const refused = await kube.store("wrong-keys");
    assert.equal(conditionOf(refused, "Ready")?.status, "False");
    assert.match(conditionOf(refused, "Ready")?.message ?? "", /credentials/);
    assert.doesNotMatch(JSON.stringify(refused.status), /hunter2/);
    assert.equal(refused.status.observedGeneration, refused.metadata.generation);
    assert.match(
      conditionOf(await kube.store("no-bucket"), "Ready")?.message ?? "",
      /bucket not-there-yet does not exist/,
    );
    assert.match(await warningOf("unreachable", "Unreachable"), new RegExp(`127\\.0\\.0\\.1:${port}`));
    const { body = "" } = (await operator.get("/metrics")) ?? {};
    assert.match(body, /^etcd_backup_store_ready\{namespace="default",store="wrong-keys"\} 0$/m);

    await kube.apply(bench.storeObject("wrong-keys", s3Of({})), bench.storeObject("unreachable", s3Of({})));
    await kube.wait("etcdbackupstore/wrong-keys", "condition=Ready");
    await kube.wait("etcdbackupstore/unreachable", "condition=Ready");
    const mended = await kube.store("unreachable");
    assert.deepEqual(mended.status.capabilities, {
      conditionalWrites: true,
      checksums: true,
      objectLock: false,
      versioning: false,
    });
    // Nothing wakes the operator when a bucket is created: its next probe finds it.
    await s3.createBucket("not-there-yet");
    await kube.wait("etcdbackupstore/no-bucket", "condition=Ready", { seconds: 45 });
    await bench.api.kubectl(["delete", "etcdbackupstore", "no-bucket"]);
    await eventually("the metric of the deleted store is gone", async () => {
      const { body: text = "" } = (await operator.get("/metrics")) ?? {};
      return !text.includes('store="no-bucket"');
    });
  });

  it("a store of another namespace: the backup waits for one of its own namespace", async () => {
    await bench.api.kubectl(["create", "namespace", "elsewhere"]);
    await bench.addStore("of-elsewhere", {}, "elsewhere");
    await bench.kube.apply(...secretsOf(bench.etcd, bench.s3, { username: "root", password }, "elsewhere"));
    await bench.kube.apply(
      bench.backupObject("of-elsewhere", "of-elsewhere"),
      bench.backupObject("of-elsewhere", "of-elsewhere", {}, "elsewhere"),
    );
    await assertSucceeds("of-elsewhere", "elsewhere");
    await bench.kube.waitReason("etcdbackup/of-elsewhere", "Succeeded", "StoreNotReady");
    assert.equal((await bench.manifests("of-elsewhere")).length, 1);
  });
});
