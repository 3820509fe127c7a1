import assert from "node:assert/strict";
import { rm, unlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Ran, etcdBackup, etcdBackupJson, s3Store } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { tempDir } from "../../harness/process.ts";
import { type S3Server, startS3 } from "../../harness/s3-server.ts";
import { filesBelow } from "../../support/files.ts";
import { fill } from "../../support/sample-data.ts";
import { type StoreAccess, assertHoldsBackups, checkStore } from "../../support/store-check.ts";
import { cutShort, flipByte } from "../../support/damage.ts";
import {
  type S3Fault,
  type S3FaultProxy,
  type S3Request,
  startS3FaultProxy,
} from "../../support/s3-fault-proxy.ts";
import { saveArgs } from "../../support/save-command.ts";
import { mountTmpfs } from "../../support/tmpfs.ts";

interface Listed {
  name: string;
}

let cluster: EtcdCluster;
let shared: S3Server;

before(async () => {
  [cluster, shared] = await Promise.all([startEtcd(), startS3()]);
  await fill(cluster, 18);
});
after(async () => {
  await Promise.all([cluster[Symbol.asyncDispose](), shared[Symbol.asyncDispose]()]);
});

/** Saves without compression, which takes three parts. */
function saveInto({ url, env }: StoreAccess, flags: string[] = []): Promise<Ran> {
  return etcdBackup([...saveArgs(cluster, url), "--compression", "none", ...flags], env);
}

interface Bucket extends AsyncDisposable {
  s3: S3Server;
  direct: StoreAccess;
  /** Through the proxy. */
  proxied: StoreAccess;
  proxy: S3FaultProxy;
  /** The server's directory of the bucket: each object is a file. */
  folder: string;
}

let buckets = 0;

/** A new bucket behind a proxy of its own. It is on a server of its own if the test makes the server fail. */
async function newBucket({ ownServer = false } = {}): Promise<Bucket> {
  await using stack = new AsyncDisposableStack();
  const s3 = ownServer ? stack.use(await startS3()) : shared;
  const bucket = `bucket-${++buckets}`;
  await s3.createBucket(bucket);
  const proxy = stack.use(await startS3FaultProxy(s3.endpoint));
  const started = stack.move();
  return {
    s3,
    direct: s3Store(s3, bucket),
    proxied: s3Store({ ...s3, endpoint: proxy.endpoint }, bucket),
    proxy,
    folder: join(s3.rootDir, bucket),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

type Faults = (s3: S3Server) => (request: S3Request) => S3Fault | undefined | Promise<S3Fault | undefined>;

const slowDown: S3Fault = { do: "answer", status: 503, code: "SlowDown" };

const transientFaults: [string, Faults][] = [
  ["503 to the first request of every kind", () => (request) => (request.count === 1 ? slowDown : undefined)],
  [
    "connections that break in the middle of parts",
    () =>
      ({ operation, count }) =>
        operation === "Part" && count <= 2 ? { do: "cutRequest", after: 1_000_000 } : undefined,
  ],
  [
    "a flipped bit",
    () =>
      ({ operation, count }) =>
        operation === "Part" && count === 1 ? { do: "flipRequest" } : undefined,
  ],
  [
    "lost answers to the completion and to the manifest",
    () =>
      ({ operation, count }) =>
        (operation === "Complete" || operation === "Put") && count === 1 ? { do: "loseAnswer" } : undefined,
  ],
  [
    "a delay before every request",
    () => async () => {
      await delay(200);
      return undefined;
    },
  ],
  [
    "a server that is paused during the upload",
    (s3) =>
      ({ operation, count }) => {
        if (operation !== "Part") return undefined;
        if (count === 1) s3.pause();
        // The third part arrives while the others have no answer.
        if (count === 3) s3.resume();
        return undefined;
      },
  ],
  [
    "a server that is restarted during the upload",
    (s3) => {
      let restarted: Promise<void> | undefined;
      return async ({ operation, count }) => {
        if (operation === "Part" && count === 2) restarted = s3.restart();
        await restarted;
        return undefined;
      };
    },
  ],
];

interface PermanentFault {
  what: string;
  faults: Faults;
  code: number;
  says: RegExp;
  /** Number of leftovers that save cannot remove while the store fails. */
  leftovers: number;
}

const permanentFaults: PermanentFault[] = [
  {
    what: "endless answers 503 to parts",
    faults:
      () =>
      ({ operation }) =>
        operation === "Part" ? slowDown : undefined,
    code: 1,
    says: /storing part \d of lab\/\S+: the store is busy or failed \(SlowDown\)/,
    leftovers: 0,
  },
  {
    what: "connections that always break during a part",
    faults:
      () =>
      ({ operation }) =>
        operation === "Part" ? { do: "cutRequest", after: 1_000_000 } : undefined,
    code: 1,
    says: /storing part \d of lab\/\S+: /,
    leftovers: 0,
  },
  {
    what: "credentials that are revoked during the upload",
    faults: () => {
      let revoked = false;
      return ({ operation, count }) => {
        revoked ||= operation === "Part" && count === 2;
        return revoked ? { do: "answer", status: 403, code: "InvalidAccessKeyId" } : undefined;
      };
    },
    code: 1,
    says: /does not accept the credentials/,
    leftovers: 1,
  },
  {
    what: "a manifest that the store refuses",
    faults:
      () =>
      ({ operation, url }) =>
        operation === "Put" && isManifest(url)
          ? { do: "answer", status: 403, code: "AccessDenied" }
          : undefined,
    code: 1,
    says: /storing lab\/\S+\.json: .*refused/,
    leftovers: 0,
  },
  {
    what: "a store that resets connections after the data is stored",
    faults: () => {
      let gone = false;
      return ({ operation, url }) => {
        gone ||= operation === "Put" && isManifest(url);
        return gone ? { do: "reset" } : undefined;
      };
    },
    code: 1,
    says: /storing lab\/\S+\.json: /,
    leftovers: 1,
  },
  {
    what: "a server that is killed during the upload",
    faults:
      (s3) =>
      async ({ operation, count }) => {
        if (operation === "Part" && count === 2) await s3.process.kill();
        return undefined;
      },
    code: 1,
    says: /storing part \d of lab\/\S+: /,
    leftovers: 1,
  },
];

/** Whether a request is about the manifest of a backup, and not about a claim. */
function isManifest(url: string): boolean {
  return /-r\d{20}-[^/]*\.json/.test(url);
}

describe("save", { concurrency: 3 }, () => {
  for (const [what, faults] of transientFaults) {
    it(`succeeds after ${what}`, async () => {
      await using bucket = await newBucket({ ownServer: /server/.test(what) });
      const { direct, proxied, proxy, s3 } = bucket;
      proxy.fault = faults(s3);
      const { code, stderr } = await saveInto(proxied);
      assert.equal(code, 0, stderr);
      await assertHoldsBackups(direct, 1);
    });
  }

  for (const { what, faults, code, says, leftovers } of permanentFaults) {
    it(`fails after ${what}, and the sweeper deletes what it leaves`, async () => {
      await using bucket = await newBucket({ ownServer: /server/.test(what) });
      const { direct, proxied, proxy, s3 } = bucket;
      proxy.fault = faults(s3);
      const ran = await saveInto(proxied);
      if (!s3.process.running) await s3.restart();
      assert.equal(ran.code, code, ran.stderr);
      assert.match(ran.stderr, says);
      assert.equal(ran.stdout, "");
      const found = await checkStore(direct, { sweep: true });
      assert.deepEqual(found.backups, []);
      assert.equal(found.leftovers.length, leftovers, found.leftovers.join());
    });
  }

  it("fails and names the bucket when it is removed before the completion of the upload", async () => {
    await using bucket = await newBucket();
    const { direct, proxied, proxy, folder, s3 } = bucket;
    let removed: Promise<void> | undefined;
    proxy.fault = async ({ operation }) => {
      if (operation === "Complete") await (removed ??= rm(folder, { recursive: true }));
      return undefined;
    };
    const ran = await saveInto(proxied);
    assert.equal(ran.code, 3, ran.stderr);
    assert.match(ran.stderr, /bucket bucket-\d+ does not exist/);
    const listed = await etcdBackup(["list", "--store", direct.url], direct.env);
    assert.equal(listed.code, 3, "a missing bucket is an error, not an empty list");
    await s3.createBucket(basename(folder));
    assert.deepEqual(await checkStore(direct), { backups: [], leftovers: [] });
  });

  it("fails when the disk of the server is full, and leaves nothing", async (t) => {
    await using dir = await tempDir("full");
    const disk = await mountTmpfs(dir.path, "size=12m");
    if ("reason" in disk) return t.skip(disk.reason);
    await using _ = disk;
    await using full = await startS3("versitygw", { rootDir: dir.path });
    await full.createBucket("full");
    const access = s3Store(full, "full");
    const { code, stderr } = await saveInto(access);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /storing part \d of lab\/\S+: /);
    assert.deepEqual(await checkStore(access), { backups: [], leftovers: [] });
  });

  for (const [what, damage] of [
    ["changed", flipByte],
    ["cut short", cutShort],
    ["removed", unlink],
  ] as const) {
    it(`with --read-back writes no manifest when the data was ${what} before`, async () => {
      await using bucket = await newBucket();
      const { direct, proxied, proxy, folder } = bucket;
      let reads = 0;
      proxy.fault = async ({ operation, url }) => {
        if (operation !== "Get" || !/\.db(\?|$)/.test(url) || ++reads > 1) return undefined;
        const [name = ""] = (await filesBelow(folder)).filter((file) => file.endsWith(".db"));
        await damage(join(folder, name));
        return undefined;
      };
      const ran = await saveInto(proxied, ["--read-back"]);
      assert.equal(ran.code, 4, ran.stderr);
      assert.match(ran.stderr, /reading (back )?lab\/\S+\.db: /);
      assert.deepEqual(await checkStore(direct), { backups: [], leftovers: [] });
    });
  }

  it("in the same second as another save makes a backup of its own", async () => {
    await using bucket = await newBucket();
    const { direct } = bucket;
    // The test cannot choose the second of a save: it makes three at a time until two are in the same second.
    const seconds: string[] = [];
    while (new Set(seconds).size === seconds.length) {
      assert.ok(seconds.length < 30, `no two saves in one second: ${seconds.join()}`);
      const saved = await Promise.all([1, 2, 3].map(() => saveInto(direct)));
      for (const { code, stderr } of saved) assert.equal(code, 0, stderr);
      const listed = await etcdBackupJson<Listed[]>(["list", "--store", direct.url], direct.env);
      assert.equal(listed.length, seconds.length + 3);
      seconds.splice(0, Infinity, ...listed.map(({ name }) => name.slice(0, 16)));
    }
    const { backups, leftovers } = await checkStore(direct);
    assert.equal(new Set(backups).size, backups.length);
    assert.deepEqual(leftovers, []);
  });
});
