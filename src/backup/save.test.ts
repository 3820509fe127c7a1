import assert from "node:assert/strict";
import { test } from "node:test";
import { snapshotFile } from "../../test/testdata/snapshot-files.ts";
import { type ErrorCode, OperatorError } from "../core/errors.ts";
import { memberFacts, statusOf } from "../core/etcd/member.fixture.ts";
import { type MemberFacts, defaultSelection } from "../core/etcd/member-choice.ts";
import { objectKind } from "../core/backup/name.ts";
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
  /** What `observe` and `status` answer from now on. */
  members: MemberFacts[];
  clusterId: string;
  /** Calls in order: `observe`, `hashKV m0`, `status m1`, `read m1`, `snapshot m1`. */
  calls: string[];
  /** Called before each call is answered. */
  before: (call: string) => void | Promise<void>;
  /** Endpoints that snapshots were read from, and the number of streams that were disposed. */
  opened: string[];
  closed: number;
}

function clusterOf(
  members: MemberFacts[],
  options: { bytes?: Buffer; hashes?: Record<string, number> } = {},
): Watched {
  const { bytes = file, hashes = {} } = options;
  const called = (call: string, endpoint = "") => {
    const entry = endpoint === "" ? call : `${call} ${new URL(endpoint).hostname}`;
    watched.calls.push(entry);
    return watched.before(entry);
  };
  const watched: Watched = {
    members,
    clusterId: "cafe",
    calls: [],
    before: () => {},
    opened: [],
    closed: 0,
    endpoints: members.map(({ endpoint }) => endpoint),
    async observe() {
      await called("observe");
      return { clusterId: watched.clusterId, members: watched.members };
    },
    async hashKV(endpoint) {
      await called("hashKV", endpoint);
      return { hash: hashes[endpoint] ?? 1, compactRevision: -1 };
    },
    async status(endpoint) {
      await called("status", endpoint);
      const found = watched.members.find((m) => m.endpoint === endpoint);
      assert.ok(found);
      if (found.error !== undefined) throw new OperatorError("Unreachable", found.error);
      return statusOf(found, { clusterId: watched.clusterId });
    },
    confirmQuorum: async (endpoint) => called("read", endpoint),
    async snapshot({ endpoint }) {
      await called("snapshot", endpoint);
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

const firstClaim = "prod/claim/00000000000000000001.json";

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
  const left = [...run.store.objects.keys()].filter((name) => name !== firstClaim);
  assert.deepEqual(left, [], "nothing but the claim stays in the store");
  assert.equal(run.cluster.closed, run.cluster.opened.length, "every stream is disposed");
}

const three = () => [member("m0"), member("m1"), member("m2")];

test("the manifest is written last, and describes the snapshot, the member and the choice", async () => {
  const run = prepare(clusterOf(three()));
  const manifest = await run.save();
  const data = "prod/20260820T120003Z-0123456789ab.db.zst";
  const name = `prod/${manifest.name}.json`;
  assert.deepEqual(run.store.puts, [firstClaim, data, name]);
  assert.deepEqual(parseManifest(run.store.objects.get(name) ?? Buffer.alloc(0), name), manifest);
  assert.equal(
    manifest.name,
    `20260820T120003Z-r${String(manifest.snapshot.revision).padStart(20, "0")}-0123456789ab`,
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
  assert.deepEqual(run.store.puts.map(objectKind), ["claim", "data"], "no manifest was put");
});

test("the data object is deleted when the manifest cannot be written", async () => {
  const run = prepare(clusterOf(three()));
  run.store.beforePut = (name) => {
    if (objectKind(name) === "manifest") throw new OperatorError("Unauthorized", "the store refused it");
  };
  await rejects(run, "Unauthorized", /refused/);
});

test("no manifest is written when the data reads back altered", async () => {
  const run = prepare(clusterOf(three()), { readBack: true });
  const { get } = run.store;
  run.store.get = async function* (name, options) {
    for await (const chunk of get.call(run.store, name, options)) {
      if (objectKind(name) !== "data") {
        yield chunk;
        continue;
      }
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
    if (objectKind(name) === "manifest") abort.abort(new OperatorError("Aborted", "stopped by Ctrl-C"));
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

/** Changes the cluster when a call begins, once. */
function when(cluster: Watched, call: string, change: () => void): void {
  let isDone = false;
  cluster.before = (entry) => {
    if (entry !== call || isDone) return;
    isDone = true;
    change();
  };
}

const readFails = new OperatorError("Timeout", "linearizable read at m1: no answer in time", {
  summary: "linearizable read: no answer in time",
});

/** The members while two of three are lost: the survivor m1 knows no leader. */
const survivor = () => [
  member("m0", { error: "connection refused" }),
  member("m1", { leader: "0", raftAppliedIndex: 95 }),
  member("m2", { error: "connection refused" }),
];

const withoutQuorumAllowed = { selection: { ...defaultSelection, allowWithoutQuorum: true } };

test("the member is asked again right before the first byte and after the last one", async () => {
  const run = prepare(clusterOf(three()));
  await run.save();
  const hashes = ["hashKV m0", "hashKV m1", "hashKV m2"];
  const before = ["status m1", "read m1", "status m1"];
  assert.deepEqual(run.cluster.calls, ["observe", ...hashes, ...before, "snapshot m1", "status m1"]);
});

test("a quorum that is lost between choice and stream fails the attempt, and another may succeed", async () => {
  const run = prepare(clusterOf(three()));
  when(run.cluster, "hashKV m2", () => void (run.cluster.members = survivor()));
  await rejects(run, "NoUsableMember", /m1 was chosen .*: has no leader/);
  assert.deepEqual(run.cluster.opened, []);
  await assert.rejects(run.save(), { permanent: false });
});

test("where it is allowed, a quorum that is lost between choice and stream is recorded", async () => {
  const run = prepare(clusterOf(three()), withoutQuorumAllowed);
  when(run.cluster, "hashKV m2", () => void (run.cluster.members = survivor()));
  const { snapshot, member: read } = await run.save();
  assert.equal(snapshot.withoutQuorum, true);
  assert.match(read.reason, /quorum was lost before the first byte/);
  assert.equal(run.steps.filter(({ step }) => step === "MemberSelected").length, 2, "the change is told");
});

test("a survivor that still names a leader is not read without a linearizable read", async () => {
  const run = prepare(clusterOf(three()));
  when(run.cluster, "read m1", () => {
    throw readFails;
  });
  await rejects(run, "NoUsableMember", /quorum could not be confirmed \(linearizable read: no answer/);
  assert.deepEqual(run.cluster.opened, []);
  const allowed = prepare(clusterOf(three()), withoutQuorumAllowed);
  allowed.cluster.before = run.cluster.before;
  when(allowed.cluster, "read m1", () => {
    throw readFails;
  });
  assert.equal((await allowed.save()).snapshot.withoutQuorum, true);
});

test("of a member that is named and lags, the leader confirms the quorum", async () => {
  const members = [member("m0"), member("m1", { lag: 5000, raftAppliedIndex: 10 }), member("m2")];
  const run = prepare(clusterOf(members), { selection: { ...defaultSelection, name: "m1" } });
  when(run.cluster, "read m1", () => {
    throw readFails;
  });
  assert.equal((await run.save()).member.lag, 5000);
  assert.ok(run.cluster.calls.includes("read m0"));
});

test("a refused login before the first byte is told as such", async () => {
  const run = prepare(clusterOf(three()));
  when(run.cluster, "read m1", () => {
    throw new OperatorError("Unauthorized", "authentication at m1 was refused");
  });
  await rejects(run, "Unauthorized", /authentication at m1/);
});

for (const [what, change] of [
  ["member", (cluster: Watched) => void (cluster.members = three().map((m) => ({ ...m, id: `${m.id}9` })))],
  ["cluster", (cluster: Watched) => void (cluster.clusterId = "beef")],
] as const) {
  test(`another ${what} behind the endpoint fails the attempt, and another may succeed`, async () => {
    const run = prepare(clusterOf(three()));
    when(run.cluster, "hashKV m2", () => change(run.cluster));
    await rejects(run, "Unreachable", new RegExp(`is answered by ${what}`));
    assert.deepEqual(run.cluster.opened, []);
  });
}

test("the facts in the manifest are those of the last Status before the first byte", async () => {
  const run = prepare(clusterOf(three()));
  when(run.cluster, "read m1", () => {
    run.cluster.members = [
      member("m0", { isLeader: false, leader: "b" }),
      member("m1", { isLeader: true, leader: "b", raftIndex: 140, raftAppliedIndex: 137 }),
      member("m2", { leader: "b" }),
    ];
  });
  const { member: read } = await run.save();
  assert.deepEqual([read.isLeader, read.lag], [true, 3]);
});

test("a quorum that is lost during the stream is told, and the backup had quorum", async () => {
  const run = prepare(clusterOf(three()));
  when(run.cluster, "snapshot m1", () => void (run.cluster.members = survivor()));
  assert.equal((await run.save()).snapshot.withoutQuorum, false);
  const told = run.steps.find(({ step }) => step === "QuorumNotConfirmed");
  assert.deepEqual(told, { step: "QuorumNotConfirmed", member: "m1", reason: "it has no leader" });
});

test("a member that is gone after its last byte is told, and the backup stands", async () => {
  const run = prepare(clusterOf(three()));
  const gone = () => three().map((m) => ({ ...m, error: "connection refused" }));
  when(run.cluster, "snapshot m1", () => void (run.cluster.members = gone()));
  assert.equal((await run.save()).member.name, "m1");
  assert.ok(run.steps.some((s) => s.step === "QuorumNotConfirmed" && s.reason === "connection refused"));
});

test("a CORRUPT alarm that etcd raises during the stream fails the attempt", async () => {
  const run = prepare(clusterOf(three()));
  const alarms = [{ memberId: "b", alarm: "CORRUPT" }];
  when(run.cluster, "snapshot m1", () => void (run.cluster.members = three().map((m) => ({ ...m, alarms }))));
  await rejects(run, "NoUsableMember", /m1 served the snapshot, and by its end the CORRUPT alarm/);
});

test("the backup's time is that of the stream, not of the waiting before it", async () => {
  let clock = Date.UTC(2026, 7, 20, 12);
  const run = prepare(clusterOf(three()), { now: () => new Date(clock) });
  when(run.cluster, "hashKV m2", () => void (clock += 3_600_000));
  const manifest = await run.save();
  assert.equal(manifest.run.startedAt, "2026-08-20T13:00:00.000Z");
  assert.match(manifest.name, /^20260820T130000Z-/);
  assert.match(manifest.stored.object, /^prod\/20260820T130000Z-/);
});

test("a rate by which the snapshot cannot end in time is refused before a member is scanned or read", async () => {
  const timeLimit = { ms: 10_000, timeoutName: "spec.timeoutSeconds", rateName: "spec.maxRate" };
  const run = prepare(clusterOf(three()), { maxRate: 1, timeLimit });
  await rejects(
    run,
    "InvalidConfiguration",
    /the database of m1 \(20 kB\) at 1 B a second \(spec.maxRate\) takes 5h 41m, longer than the 10.0s of/,
  );
  await assert.rejects(run.save(), { permanent: true });
  assert.deepEqual(new Set(run.cluster.calls), new Set(["observe"]));
});

test("the stored manifest names the series of the backup, and none where it has none", async () => {
  const series = { name: "prod", namespace: "backups", kubernetesCluster: "6c7d" };
  for (const over of [{ series }, {}]) {
    const run = prepare(clusterOf(three()), over);
    const name = `prod/${(await run.save()).name}.json`;
    const stored = parseManifest(run.store.objects.get(name) ?? Buffer.alloc(0), name);
    assert.deepEqual(stored.series, "series" in over ? series : undefined);
  }
});
