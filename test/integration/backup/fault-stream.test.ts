import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { etcdBackup, etcdBackupJson, etcdBackupPath, etcdFlags, s3Store } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { startProcess, tempDir } from "../../harness/process.ts";
import { startS3 } from "../../harness/s3-server.ts";
import { bytesOf, keyValue, revisionKey, withTrailer, writeBolt } from "../../testdata/bolt-writer.ts";
import { filesBelow } from "../../support/files.ts";
import { fill } from "../../support/sample-data.ts";
import { checkStore } from "../../support/store-check.ts";
import { eventually } from "../../support/eventually.ts";
import { during, exitOf } from "../../support/running-process.ts";
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

/** What the member sends instead; the exit code; what the error says. */
const lies: [string, (messages: Messages) => Messages, number, RegExp][] = [
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
    "a snapshot with the trailer of another",
    async function* (messages) {
      const { database } = await whole(messages);
      yield* messagesOf(database, sha256(Buffer.from("another")));
    },
    4,
    /snapshot: the SHA-256 trailer is wrong/,
  ],
  [
    "a snapshot that ends well, but in the middle",
    async function* (messages) {
      let sent = 0;
      for await (const message of messages) {
        if (++sent > 200) return;
        yield message;
      }
    },
    1,
    /snapshot at \S+: it ended after 6553600 of \d+ bytes/,
  ],
  [
    "a snapshot cut short whose totals and trailer are right for what is left",
    async function* (messages) {
      const { database } = await whole(messages);
      const cut = database.subarray(0, 4 * 1024 * 1024);
      yield* messagesOf(cut, sha256(cut));
    },
    4,
    /snapshot: the database is damaged: .*1024 of the \d+ pages/,
  ],
  [
    "a page that was damaged on the member's disk, before any digest was made",
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
    "empty blobs for ever, as etcd does when it cannot read on",
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
    "a database of no bytes, with the right trailer",
    async function* () {
      yield { remaining: 0, blob: Buffer.alloc(0) };
      yield* messagesOf(Buffer.alloc(0), sha256(Buffer.alloc(0)));
    },
    4,
    /snapshot: the database is damaged/,
  ],
  [
    "an error in the middle",
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

test("whatever is wrong with a stream, save says it with its exit code and stores nothing", async (t) => {
  for (const [what, snapshot, code, says] of lies) {
    await t.test(what, async () => {
      await using proxy = await startSnapshotFaultProxy(member, { snapshot });
      await using dir = await tempDir("lie");
      const ran = await etcdBackup(saveInto(dir.path, proxy.endpoint));
      assert.equal(ran.code, code, ran.stderr);
      assert.match(ran.stderr, says);
      assert.equal(ran.stdout, "");
      assert.deepEqual(await filesBelow(dir.path), []);
    });
  }
});

test("the proxy that tells these lies passes on an honest stream", async () => {
  await using proxy = await startSnapshotFaultProxy(member, {});
  await using dir = await tempDir("honest");
  await savedAndVerified(dir.path, proxy.endpoint);
});

test("a connection that is cut in mid-stream: exit code 1, the member's name, and nothing is stored", async () => {
  await using proxy = await startTcpFaultProxy(member);
  await using dir = await tempDir("cut");
  proxy.holdAfter(4_000_000);
  await using run = startProcess(etcdBackupPath, saveInto(dir.path, proxy.endpoint));
  await during(run, proxy.held());
  proxy.cut();
  const { code } = await exitOf(run);
  assert.equal(code, 1, run.output());
  assert.match(run.output(), new RegExp(`etcd-backup: snapshot at ${proxy.endpoint}`));
  assert.deepEqual(await filesBelow(dir.path), []);
});

test("on S3, too: a stream that breaks in the middle or lies at its end leaves no object and no unfinished upload", async (t) => {
  await using s3 = await startS3();
  await s3.createBucket("backups");
  const store = s3Store(s3, "backups");
  const { url, env } = store;
  const nothing = { backups: [], leftovers: [] };
  const save = (endpoint: string) => [
    ...["save", "--store", url, "--cluster-name", "lab", "--compression", "none"],
    ...etcdFlags(cluster, [endpoint]),
  ];
  const uploads = () => filesBelow(join(s3.rootDir, "backups"));

  await t.test("it breaks when the first part is stored", async () => {
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

  await t.test("its trailer is wrong, when every part is stored", async () => {
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

test("a database of 64 KiB pages, as on some machines of other architectures, is saved and verified", async () => {
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
  return [
    "save",
    ...["--store", `file://${directory}`, "--cluster-name", "lab"],
    ...etcdFlags(cluster, [endpoint]),
  ];
}

async function savedAndVerified(directory: string, endpoint: string): Promise<Saved> {
  const saved = await etcdBackupJson<Saved>(saveInto(directory, endpoint));
  const { backups, leftovers } = await checkStore({ url: `file://${directory}`, env: {} });
  assert.deepEqual([backups, leftovers], [[saved.name], []]);
  return saved;
}
