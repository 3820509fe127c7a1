import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { etcdBackup, etcdBackupJson, etcdBackupPath, s3Store } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { startProcess, tempDir } from "../../harness/process.ts";
import { startS3 } from "../../harness/s3-server.ts";
import { bytesOf, keyValue, revisionKey, withTrailer, writeBolt } from "../../testdata/bolt-writer.ts";
import { backupFilesBelow } from "../../support/files.ts";
import { fill } from "../../support/sample-data.ts";
import { assertHoldsBackups, checkStore } from "../../support/store-check.ts";
import { eventually } from "../../support/eventually.ts";
import { during, exitOf } from "../../support/running-process.ts";
import { saveArgs } from "../../support/save-command.ts";
import {
  messagesOf,
  type SnapshotMessage,
  startSnapshotFaultProxy,
} from "../../support/snapshot-fault-proxy.ts";
import { startTcpFaultProxy } from "../../support/tcp-fault-proxy.ts";

interface Saved {
  name: string;
  snapshot: { revision: number; pageSize: number; totalKeys: number };
}

type Messages = AsyncIterable<SnapshotMessage>;

let cluster: EtcdCluster;
let member: string;

before(async () => {
  cluster = await startEtcd();
  await fill(cluster, 18);
  member = cluster.endpoints[0] ?? "";
});
after(async () => cluster[Symbol.asyncDispose]());

async function whole(messages: Messages): Promise<{ database: Buffer; trailer: Buffer }> {
  const blobs = (await Array.fromAsync(messages)).map(({ blob }) => blob);
  const trailer = blobs.pop() ?? Buffer.alloc(0);
  return { database: Buffer.concat(blobs), trailer };
}

const sha256 = (bytes: Buffer): Buffer => createHash("sha256").update(bytes).digest();

/** Name of the fault, what the client gets instead of the messages, the exit code, the error message. */
const faultyStreams: [string, (messages: Messages) => Messages, number, RegExp][] = [
  [
    "a snapshot without its trailer",
    async function* (messages) {
      const { database } = await whole(messages);
      yield* messagesOf(database, Buffer.alloc(0));
    },
    1,
    /snapshot at \S+: the SHA-256 trailer is missing/,
  ],
  [
    "a snapshot with the trailer of another snapshot",
    async function* (messages) {
      const { database } = await whole(messages);
      yield* messagesOf(database, sha256(Buffer.from("another")));
    },
    4,
    /snapshot: the SHA-256 trailer is wrong/,
  ],
  [
    "a stream that ends without an error in the middle of the snapshot",
    async function* (messages) {
      let sent = 0;
      for await (const message of messages) {
        if (++sent > 200) return;
        yield message;
      }
    },
    1,
    /snapshot at \S+: the stream ended after 6553600 of \d+ bytes/,
  ],
  [
    "a truncated snapshot whose totals and trailer match the truncated part",
    async function* (messages) {
      const { database } = await whole(messages);
      const cut = database.subarray(0, 4 * 1024 * 1024);
      yield* messagesOf(cut, sha256(cut));
    },
    4,
    /snapshot: the database is damaged: .*1024 of the \d+ pages/,
  ],
  [
    "a page that is damaged on the member's disk, with a trailer of the damaged database",
    async function* (messages) {
      const { database } = await whole(messages);
      const root = Number(database.readBigUInt64LE(32)) * 4096;
      database.fill(0, root, root + 4096);
      yield* messagesOf(database, sha256(database));
    },
    4,
    /snapshot: the database is damaged: page \d+/,
  ],
  [
    "endless empty blobs, which etcd sends when it cannot read its database",
    async function* (messages) {
      let sent = 0;
      let remaining = 0;
      for await (const message of messages) {
        if (++sent > 100) break;
        remaining = message.remaining;
        yield message;
      }
      while (true) yield { remaining, blob: Buffer.alloc(0) };
    },
    1,
    /snapshot at \S+: the member stopped sending \d+ bytes before the end; its log names/,
  ],
  ["no message at all", async function* () {}, 1, /snapshot at \S+: the stream ended before its first byte/],
  [
    "an empty database with the right trailer",
    async function* () {
      yield { remaining: 0, blob: Buffer.alloc(0) };
      yield* messagesOf(Buffer.alloc(0), sha256(Buffer.alloc(0)));
    },
    4,
    /snapshot: the database is damaged/,
  ],
  [
    "an error in the middle of the stream",
    async function* (messages) {
      let sent = 0;
      for await (const message of messages) {
        if (++sent > 100) throw Object.assign(new Error(), { code: 2, details: "mvcc: database is closed" });
        yield message;
      }
    },
    1,
    /snapshot at \S+ failed: mvcc: database is closed/,
  ],
];

test("save from a faulty stream gives the reason, exits with its code and stores nothing", async (t) => {
  for (const [what, snapshot, code, says] of faultyStreams) {
    await t.test(what, async () => {
      await using proxy = await startSnapshotFaultProxy(member, { snapshot });
      await using dir = await tempDir("faulty");
      const ran = await etcdBackup(saveInto(dir.path, proxy.endpoint));
      assert.equal(ran.code, code, ran.stderr);
      assert.match(ran.stderr, says);
      assert.equal(ran.stdout, "");
      assert.deepEqual(await backupFilesBelow(dir.path), []);
    });
  }
});

test("the proxy without a fault passes on the snapshot unchanged", async () => {
  await using proxy = await startSnapshotFaultProxy(member, {});
  await using dir = await tempDir("unchanged");
  await savedAndVerified(dir.path, proxy.endpoint);
});

test("save whose connection breaks in the stream exits with code 1, names the member and stores nothing", async () => {
  await using proxy = await startTcpFaultProxy(member);
  await using dir = await tempDir("cut");
  proxy.holdAfter(4_000_000);
  await using run = startProcess(etcdBackupPath, saveInto(dir.path, proxy.endpoint));
  await during(run, proxy.held());
  proxy.cut();
  const { code } = await exitOf(run);
  assert.equal(code, 1, run.output());
  assert.match(run.output(), new RegExp(`etcd-backup: snapshot at ${proxy.endpoint}`));
  assert.deepEqual(await backupFilesBelow(dir.path), []);
});

test("save into S3 from a faulty stream leaves no object and no unfinished upload", async (t) => {
  await using s3 = await startS3();
  await s3.createBucket("backups");
  const store = s3Store(s3, "backups");
  const { url, env } = store;
  const nothing = { backups: [], leftovers: [] };
  const save = (endpoint: string) => [
    ...saveArgs(cluster, url, { endpoints: [endpoint] }),
    ...["--compression", "none"],
  ];
  const uploads = () => backupFilesBelow(join(s3.rootDir, "backups"));

  await t.test("a stream that breaks when the first part is stored", async () => {
    await using proxy = await startTcpFaultProxy(member);
    proxy.holdAfter(14_000_000);
    await using run = startProcess(etcdBackupPath, save(proxy.endpoint), { env });
    await during(run, proxy.held());
    await during(
      run,
      eventually("a part is stored", async () => (await uploads()).length > 0),
    );
    proxy.cut();
    assert.equal((await exitOf(run)).code, 1, run.output());
    assert.deepEqual(await uploads(), []);
    assert.deepEqual(await checkStore(store), nothing);
  });

  await t.test("a stream whose trailer is wrong, when every part is stored", async () => {
    await using proxy = await startSnapshotFaultProxy(member, {
      async *snapshot(messages) {
        const { database } = await whole(messages);
        yield* messagesOf(database, sha256(Buffer.from("another")));
      },
    });
    const ran = await etcdBackup(save(proxy.endpoint), env);
    assert.equal(ran.code, 4, ran.stderr);
    assert.deepEqual(await uploads(), []);
    assert.deepEqual(await checkStore(store), nothing);
  });
});

test("save stores a database with pages of 64 KiB, which some architectures have", async () => {
  const file = writeBolt({
    pageSize: 65_536,
    buckets: {
      key: Array.from({ length: 5000 }, (_, i) => ({
        key: revisionKey(i + 2),
        value: keyValue({
          key: `/app/${i}`,
          value: Buffer.alloc(1 + ((i * 7919) % 3000), "v"),
          revision: i + 2,
        }),
      })),
      meta: [{ key: Buffer.from("consistent_index"), value: Buffer.alloc(8, 1) }],
    },
    freelist: true,
  });
  const bytes = withTrailer(bytesOf(file));
  await using proxy = await startSnapshotFaultProxy(member, {
    async *snapshot() {
      yield* messagesOf(bytes.subarray(0, -32), bytes.subarray(-32));
    },
  });
  await using dir = await tempDir("64k");
  const saved = await savedAndVerified(dir.path, proxy.endpoint);
  assert.equal(saved.snapshot.pageSize, 65_536);
  assert.equal(saved.snapshot.revision, 5001);
});

function saveInto(directory: string, endpoint: string): string[] {
  return saveArgs(cluster, `file://${directory}`, { endpoints: [endpoint] });
}

async function savedAndVerified(directory: string, endpoint: string): Promise<Saved> {
  const saved = await etcdBackupJson<Saved>(saveInto(directory, endpoint));
  assert.deepEqual(await assertHoldsBackups({ url: `file://${directory}`, env: {} }, 1), [saved.name]);
  return saved;
}
