import assert from "node:assert/strict";
import { test } from "node:test";
import { snapshotFile } from "../../test/testdata/snapshot-files.ts";
import { type ErrorCode, OperatorError } from "../core/errors.ts";
import { memberFacts } from "../core/etcd/member.fixture.ts";
import { type MemberFacts, defaultSelection } from "../core/etcd/member-choice.ts";
import { parseManifest } from "./manifest/manifest.ts";
import { type MemoryStore, memoryStore } from "../store/memory/memory-store.fixture.ts";
import { type SaveOptions, saveSnapshot } from "./save.ts";
import type { SaveStep } from "./progress.ts";
import type { SnapshotCluster } from "./source.ts";

const file = snapshotFile("mixed-3.6");

function member(name: string, over: Partial<MemberFacts> = {}): MemberFacts {
  const id = { m0: "a", m1: "b", m2: "c" }[name] ?? "f";
  return memberFacts(name, { id, isLeader: name === "m0", revision: 7, ...over });
}

interface Watched extends SnapshotCluster {
  /** Endpoints that snapshots were read from, and the number of streams that were disposed. */
  opened: string[];
  closed: number;
}

function clusterOf(
  members: MemberFacts[],
  options: { bytes?: Buffer; hashes?: Record<string, number> } = {},
): Watched {
  const { bytes = file, hashes = {} } = options;
  const watched: Watched = {
    opened: [],
    closed: 0,
    observe: async () => ({ clusterId: "cafe", members }),
    hashKV: async (endpoint) => ({ hash: hashes[endpoint] ?? 1, compactRevision: -1 }),
    async snapshot({ endpoint }) {
      watched.opened.push(endpoint);
      async function* chunks() {
        for (let at = 0; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000);
      }
      return {
        totalBytes: file.length - 32,
        chunks: chunks(),
        async [Symbol.asyncDispose]() {
          watched.closed += 1;
        },
      };
    },
  };
  return watched;
}

interface Run {
  steps: SaveStep[];
  cluster: Watched;
  store: MemoryStore;
  save: () => ReturnType<typeof saveSnapshot>;
}

function prepare(cluster: Watched, over: Partial<SaveOptions> = {}): Run {
  const steps: SaveStep[] = [];
  const store = memoryStore();
  let clock = Date.UTC(2026, 7, 20, 12);
  const save = () =>
    saveSnapshot({
      cluster,
      store,
      clusterName: "prod",
      runId: "0123456789ab",
      selection: defaultSelection,
      hashKV: "WhenAvailable",
      compression: "Zstd",
      readBack: false,
      tool: { name: "test", version: "1" },
      now: () => new Date((clock += 1000)),
      signal: new AbortController().signal,
      onStep: (step) => steps.push(step),
      ...over,
    });
  return { steps, cluster, store, save };
}

async function rejects(run: Run, code: ErrorCode, message: RegExp): Promise<void> {
  await assert.rejects(run.save(), (error) => {
    assert.ok(error instanceof OperatorError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });
  assert.deepEqual([...run.store.objects.keys()], [], "nothing stays in the store");
  assert.equal(run.cluster.closed, run.cluster.opened.length, "every stream is disposed");
}

const three = () => [member("m0"), member("m1"), member("m2")];

test("the manifest is written last, and describes the snapshot, the member and the choice", async () => {
  const run = prepare(clusterOf(three()));
  const manifest = await run.save();
  const data = "prod/20260820T120001Z-0123456789ab.db.zst";
  const name = `prod/${manifest.name}.json`;
  assert.deepEqual(run.store.puts, [data, name]);
  assert.deepEqual(parseManifest(run.store.objects.get(name) ?? Buffer.alloc(0), name), manifest);
  assert.equal(
    manifest.name,
    `20260820T120001Z-r${String(manifest.snapshot.revision).padStart(20, "0")}-0123456789ab`,
  );
  assert.equal(manifest.stored.object, data);
  assert.equal(manifest.member.name, "m1");
  assert.match(manifest.member.reason, /follower/);
  assert.deepEqual(manifest.cluster, { name: "prod", id: "cafe" });
  assert.deepEqual(manifest.hashKV?.membersCompared, ["m0", "m1", "m2"]);
  assert.equal(manifest.snapshot.sha256, file.subarray(-32).toString("hex"));
  assert.ok(manifest.run.completedAt > manifest.run.startedAt);
  assert.deepEqual(run.cluster.opened, ["https://m1:2379"]);
  assert.equal(run.cluster.closed, 1);
});

test("the steps are reported in order: member, comparison, progress", async () => {
  const run = prepare(clusterOf(three()), { readBack: true });
  await run.save();
  const kinds = run.steps.map(({ step }) => step).filter((step, index, all) => step !== all[index - 1]);
  assert.deepEqual(kinds, ["MemberSelected", "HashesAgree", "Streaming", "ReadingBack"]);
});

test("without a usable member no stream is opened, and the error lists every member with its reason", async () => {
  const members = [
    member("m0", { error: "connection refused" }),
    member("m1", { isLearner: true }),
    member("m2", { lag: 5000 }),
  ];
  const run = prepare(clusterOf(members));
  await rejects(run, "NoUsableMember", /m0: connection refused; m1: learner.*; m2: 5000 entries behind/);
  assert.deepEqual(run.cluster.opened, []);
});

test("when HashKV differs no stream is opened, and the error lists the members by hash", async () => {
  const run = prepare(clusterOf(three(), { hashes: { "https://m2:2379": 2 } }));
  await rejects(run, "MembersDisagree", /m0 and m1 00000001; m2 00000002/);
  assert.deepEqual(run.cluster.opened, []);
});

test("a stream with altered bytes leaves no object", async () => {
  const bytes = Buffer.from(file);
  bytes.writeUInt8(bytes.readUInt8(9000) ^ 1, 9000);
  const run = prepare(clusterOf(three(), { bytes }));
  await rejects(run, "VerificationFailed", /trailer is wrong/);
  assert.equal(run.store.puts.length, 1, "no manifest was put");
});

test("the data object is deleted when the manifest cannot be written", async () => {
  const run = prepare(clusterOf(three()));
  run.store.beforePut = (name) => {
    if (name.endsWith(".json")) throw new OperatorError("Unauthorized", "the store refused it");
  };
  await rejects(run, "Unauthorized", /refused/);
});

test("no manifest is written when the data reads back altered", async () => {
  const run = prepare(clusterOf(three()), { readBack: true });
  const { get } = run.store;
  run.store.get = async function* (name, options) {
    for await (const chunk of get.call(run.store, name, options)) {
      const copy = Buffer.from(chunk);
      copy.writeUInt8(copy.readUInt8(copy.length >> 1) ^ 1, copy.length >> 1);
      yield copy;
    }
  };
  await rejects(run, "VerificationFailed", /reading back .*stored SHA-256/);
});

test("Ctrl-C between the last byte and the manifest leaves no object", async () => {
  const abort = new AbortController();
  const run = prepare(clusterOf(three()), { signal: abort.signal });
  run.store.beforePut = (name) => {
    if (name.endsWith(".json")) abort.abort(new OperatorError("Aborted", "stopped by Ctrl-C"));
  };
  await rejects(run, "Aborted", /stopped by Ctrl-C/);
});

test("the manifest of a snapshot without quorum says so", async () => {
  const members = [
    member("m0", { error: "no answer" }),
    member("m1", { leader: "0", raftAppliedIndex: 90 }),
    member("m2", { leader: "0", raftAppliedIndex: 95 }),
  ];
  await rejects(prepare(clusterOf(members)), "NoUsableMember", /quorum/);
  const run = prepare(clusterOf(members), { selection: { ...defaultSelection, allowWithoutQuorum: true } });
  const manifest = await run.save();
  assert.equal(manifest.snapshot.withoutQuorum, true);
  assert.equal(manifest.member.name, "m2");
});
