import assert from "node:assert/strict";
import { readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectLockConfigurationCommand,
} from "@aws-sdk/client-s3";
import { etcdBackup, etcdBackupJson, etcdFlags, s3Store } from "../../harness/etcd-backup.ts";
import { tempDir } from "../../harness/process.ts";
import { type Bench, startBench } from "../../support/bench.ts";
import { conditionOf } from "../../support/custom-resources.ts";
import { backupFilesBelow, isOwnership } from "../../support/files.ts";
import { type Operator, startOperator } from "../../support/operator-process.ts";
import { fill } from "../../support/sample-data.ts";
import { type StoreAccess, checkStore } from "../../support/store-check.ts";
import { cutShort, flipByte } from "../../support/damage.ts";
import { eventually } from "../../support/eventually.ts";
import type { S3Fault, S3Request } from "../../support/s3-fault-proxy.ts";

interface Listed {
  name: string;
  problem?: string;
  manifest?: { stored: { object: string } };
}

let bench: Bench;

before(async () => {
  bench = await startBench();
});
after(() => bench[Symbol.asyncDispose]());

interface Damage {
  what: string;
  /** `data` and `manifest` are the paths of the backup's files, `key` is the manifest's key. */
  damage(of: { data: string; manifest: string; key: string }): Promise<unknown>;
  /** The problem in the listing; null when it is listed without a problem, undefined when it is not listed. */
  listed: RegExp | null | undefined;
  /** Exit code of `verify` and `fetch`, and the message of `verify`. */
  code: number;
  says: RegExp;
}

/** One for each backup, beginning with the newest. */
const damages: Damage[] = [
  {
    what: "a manifest of a later version",
    async damage({ manifest, key }) {
      const text = await readFile(manifest, "utf8");
      const later = text.replace(/"formatVersion":\s*1\b/, '"formatVersion":2');
      assert.notEqual(later, text);
      await bench.raw.send(new PutObjectCommand({ Bucket: "damaged", Key: key, Body: later }));
    },
    listed: /format version 2/,
    // A later release's format is no damage.
    code: 3,
    says: /format version 2/,
  },
  {
    what: "a removed manifest",
    damage: ({ manifest }) => unlink(manifest),
    listed: undefined,
    code: 3,
    says: /there is no backup/,
  },
  {
    what: "a manifest with a flipped bit",
    damage: ({ manifest }) => flipByte(manifest),
    listed: /its bytes have CRC-32C/,
    code: 4,
    says: /its bytes have CRC-32C/,
  },
  {
    what: "removed data",
    damage: ({ data }) => unlink(data),
    listed: /^object lab\/\S+\.db is missing$/,
    code: 4,
    says: /object lab\/\S+\.db is missing/,
  },
  {
    what: "truncated data",
    damage: ({ data }) => cutShort(data),
    listed: /^object is \d+ bytes, the manifest says \d+$/,
    code: 4,
    says: /object is \d+ bytes, the manifest says \d+/,
  },
];
const unlistedDamage: Damage = {
  what: "data with a flipped bit",
  damage: ({ data }) => flipByte(data),
  listed: null,
  code: 4,
  says: /must not be restored: .*CRC-32C/,
};

describe("a stored backup with", () => {
  let access: StoreAccess;
  let flags: string[];
  /** Newest first. */
  let stored: Listed[];
  const list = () => etcdBackupJson<Listed[]>(["list", ...flags], access.env);

  before(async () => {
    await bench.s3.createBucket("damaged");
    access = s3Store(bench.s3, "damaged");
    flags = ["--store", access.url, "--cluster-name", "lab"];
    const save = ["save", ...flags, "--compression", "none", ...etcdFlags(bench.etcd)];
    // One backup stays undamaged.
    for (let begun = 0; begun < damages.length + 2; begun += 1) await etcdBackupJson(save, access.env);
    stored = await list();
  });

  async function doDamage({ damage }: Damage, at: number): Promise<string> {
    const { name, manifest } = stored[at] ?? assert.fail(`no backup ${at}`);
    const folder = join(bench.s3.rootDir, "damaged");
    const key = `lab/${name}.json`;
    const data = join(folder, manifest?.stored.object ?? assert.fail(`no manifest of ${name}`));
    await damage({ data, manifest: join(folder, key), key });
    return name;
  }

  for (const [at, kind] of [...damages, unlistedDamage].entries()) {
    it(`${kind.what} fails verify and is not fetched`, async () => {
      const name = await doDamage(kind, at);
      const listed = (await list()).find((backup) => backup.name === name);
      if (kind.listed instanceof RegExp) assert.match(listed?.problem ?? "", kind.listed);
      else assert.deepEqual(listed === undefined ? undefined : (listed.problem ?? null), kind.listed);

      await using dir = await tempDir("fetched");
      const [verified, fetched] = await Promise.all([
        etcdBackup(["verify", name, ...flags], access.env),
        etcdBackup(["fetch", name, ...flags, "-o", join(dir.path, "snapshot.db")], access.env),
      ]);
      assert.equal(verified.code, kind.code, verified.stderr);
      assert.match(verified.stderr, kind.says);
      assert.equal(fetched.code, kind.code, fetched.stderr);
      assert.deepEqual(await backupFilesBelow(dir.path), []);
    });
  }

  it("a listed problem is not chosen as latest, and a warning names it", async () => {
    const newest = await etcdBackup(["verify", "latest", ...flags], access.env);
    assert.match(newest.stderr, new RegExp(`latest is lab/${stored[damages.length]?.name}`));
    for (const [at, { listed, what }] of damages.entries()) {
      const warned = newest.stderr.includes(`warning: skipped ${stored[at]?.name}: `);
      assert.equal(warned, listed !== undefined, what);
    }
    assert.equal(newest.code, 4, "the data of the chosen backup is damaged");
    const undamaged = await etcdBackup(["verify", stored.at(-1)?.name ?? "", ...flags], access.env);
    assert.equal(undamaged.code, 0, undamaged.stderr);
  });
});

describe("the operator with a store that fails", () => {
  let operator: Operator;
  const faults = new Map<string, (request: S3Request) => S3Fault | undefined>();

  before(async () => {
    // Three parts without compression.
    await fill(bench.etcd, 18);
    operator = await startOperator(bench.api, {
      args: ["--no-leader-elect", "--max-concurrent-backups", "8"],
    });
    bench.network.fault = (request) => faults.get(request.url.split("/")[1] ?? "")?.(request);
  });
  after(() => operator[Symbol.asyncDispose]());

  const backup = (name: string, spec: object) =>
    bench.kube.apply(
      bench.storeObject(name),
      bench.backupObject(name, name, { compression: "None", ...spec }),
    );
  async function makeBackup(name: string): Promise<void> {
    await backup(name, { deletionPolicy: "Delete" });
    await bench.kube.wait(`etcdbackup/${name}`, "condition=Succeeded");
  }
  const remove = (name: string) => bench.api.kubectl(["delete", "etcdbackup", name, "--wait=false"]);
  const contentsOf = (name: string, options?: { sweep: boolean }) =>
    checkStore(s3Store(bench.s3, name), options);

  it("reports a failed upload in status and event and leaves nothing in the store", async () => {
    const faultsOfParts: Record<string, { fault: S3Fault; reason: string; says: RegExp }> = {
      busy: {
        fault: { do: "answer", status: 503, code: "SlowDown" },
        reason: "BackoffLimitExceeded",
        says: /1 attempt failed; the last error: storing part \d of \S+: the store is busy/,
      },
      broken: {
        fault: { do: "cutRequest", after: 100_000 },
        reason: "BackoffLimitExceeded",
        says: /1 attempt failed; the last error: storing part \d of \S+: .*127\.0\.0\.1/,
      },
      withdrawn: {
        fault: { do: "answer", status: 403, code: "InvalidAccessKeyId" },
        reason: "BackoffLimitExceeded",
        says: /1 attempt failed; the last error: storing part \d of \S+: the store does not accept the credentials/,
      },
      vanished: {
        fault: { do: "answer", status: 404, code: "NoSuchBucket" },
        reason: "StoreNotReady",
        says: /storing part \d of \S+: bucket vanished does not exist/,
      },
    };
    for (const [name, { fault }] of Object.entries(faultsOfParts)) {
      await bench.s3.createBucket(name);
      faults.set(name, ({ operation }) => (operation === "Part" ? fault : undefined));
      await backup(name, { backoffLimit: 0 });
    }
    for (const [name, { reason, says }] of Object.entries(faultsOfParts)) {
      await bench.kube.wait(`etcdbackup/${name}`, "condition=Finished");
      const succeeded = conditionOf(await bench.kube.backup(name), "Succeeded");
      assert.deepEqual([succeeded?.status, succeeded?.reason], ["False", reason], succeeded?.message);
      assert.match(succeeded?.message ?? "", says);
      await eventually("an event has the message", async () =>
        (await bench.kube.events(name)).some(({ type, note }) => type === "Warning" && says.test(note)),
      );
      assert.deepEqual(await contentsOf(name), { backups: [], leftovers: [] });
    }
  });

  const deletes = (name: string) =>
    bench.network.seen.filter(
      ({ operation, url }) => operation === "Delete" && url.startsWith(`/${name}/prod/`),
    ).length;

  it("reports a refused deletion in status and event and does not repeat it at once", async () => {
    await bench.s3.createBucket("held");
    await makeBackup("held");
    faults.set("held", ({ operation }) =>
      operation === "Delete" ? { do: "answer", status: 403, code: "AccessDenied" } : undefined,
    );
    await remove("held");
    await bench.kube.waitReason("etcdbackup/held", "Stalled", "DeletionBlocked");
    const stalled = conditionOf(await bench.kube.backup("held"), "Stalled");
    assert.match(stalled?.message ?? "", /cannot be deleted: removing prod\/\S+\.json: .*force-delete/);
    await eventually("the event DeletionBlocked is written", async () =>
      (await bench.kube.events("held")).some(({ reason }) => reason === "DeletionBlocked"),
    );
    // Meanwhile the operator makes another backup.
    await bench.s3.createBucket("meanwhile");
    await makeBackup("meanwhile");
    // Only its own status writes wake the operator for the blocked object.
    assert.ok(deletes("held") <= 4, `${deletes("held")} requests`);
    assert.equal((await contentsOf("held")).backups.length, 1);

    faults.delete("held");
    // The operator tries again by itself once a minute. Then the object is already deleted.
    await bench.api
      .kubectl(["annotate", "etcdbackup", "held", "example.com/try-again=now"])
      .catch((error: unknown) => assert.match(String(error), /NotFound/));
    await bench.kube.wait("etcdbackup/held", "delete");
    assert.deepEqual(await contentsOf("held"), { backups: [], leftovers: [] });
  });

  it("deletes a backup in a bucket with object lock from the listing, and the event says that versions remain", async () => {
    await bench.s3.createBucket("locked", { objectLock: true });
    await bench.raw.send(
      new PutObjectLockConfigurationCommand({
        Bucket: "locked",
        ObjectLockConfiguration: {
          ObjectLockEnabled: "Enabled",
          Rule: { DefaultRetention: { Mode: "COMPLIANCE", Days: 1 } },
        },
      }),
    );
    await makeBackup("locked");
    await remove("locked");
    await bench.kube.wait("etcdbackup/locked", "delete");
    assert.deepEqual(await contentsOf("locked"), { backups: [], leftovers: [] });
    const { Versions = [] } = await bench.raw.send(
      new ListObjectVersionsCommand({ Bucket: "locked", Prefix: "prod/" }),
    );
    const ofBackup = Versions.filter(({ Key }) => !isOwnership(Key ?? ""));
    assert.equal(ofBackup.length, 2, "data and manifest are locked");
    await eventually("the event StoredBackupDeleted is written", async () =>
      (await bench.kube.events("locked")).some(
        ({ reason, note }) => reason === "StoredBackupDeleted" && /object lock/.test(note),
      ),
    );
  });
});
