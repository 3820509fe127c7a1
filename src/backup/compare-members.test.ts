import assert from "node:assert/strict";
import { test } from "node:test";
import { OperatorError } from "../core/errors.ts";
import { memberFacts } from "../core/etcd/member.fixture.ts";
import { type MemberFacts, defaultSelection } from "../core/etcd/member-choice.ts";
import { type CompareOptions, compareMembers } from "./compare-members.ts";
import type { SaveStep } from "./progress.ts";

function member(name: string, over: Partial<MemberFacts> = {}): MemberFacts {
  const facts = { id: `id-${name}`, isLeader: name === "a", leader: "id-a", revision: 50 };
  return memberFacts(name, { ...facts, dbSize: 20_000_000, ...over });
}

interface Asked {
  name: string;
  revision: number;
  timeoutMs: number;
}

type Answer = (name: string, revision: number, observed: number) => { hash: number; compactRevision: number };

/** A cluster whose members answer as `answer` says, after `observed` looks at it; `later` is what those looks see. */
function prepare(
  members: MemberFacts[],
  answer: Answer,
  over: Partial<CompareOptions> & { later?: MemberFacts[][]; withoutQuorum?: boolean; chosen?: string } = {},
) {
  const { later = [], withoutQuorum = false, chosen = "b", ...options } = over;
  const asked: Asked[] = [];
  const steps: SaveStep[] = [];
  let observed = 0;
  let asking = 0;
  const run = () =>
    compareMembers(
      members,
      {
        chosen: members.find((m) => m.name === chosen) ?? assert.fail(`there is no ${chosen}`),
        reason: "it was named",
        withoutQuorum,
        refusals: [],
      },
      {
        cluster: {
          async observe() {
            observed += 1;
            return { clusterId: "cafe", members: later[observed - 1] ?? members };
          },
          async hashKV(endpoint, revision, { timeoutMs }) {
            const name = new URL(endpoint).hostname;
            asked.push({ name, revision, timeoutMs });
            assert.equal((asking += 1), 1, "each scan stalls a member's writes: one member at a time");
            await Promise.resolve();
            asking -= 1;
            return answer(name, revision, observed);
          },
        },
        hashKV: "WhenAvailable",
        selection: defaultSelection,
        signal: new AbortController().signal,
        onStep: (step) => steps.push(step),
        ...options,
      },
    );
  return { asked, steps, run, looks: () => observed };
}

const same: Answer = () => ({ hash: 7, compactRevision: 3 });
const three = () => [member("a"), member("b"), member("c")];
const compacted = new OperatorError("SnapshotFailed", "required revision has been compacted");

async function rejects(promise: Promise<unknown>, code: string, message: RegExp): Promise<OperatorError> {
  const error: unknown = await promise.then(
    () => assert.fail("it was taken for agreement"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof OperatorError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return error;
}

test("members that agree are recorded with revision, hash and compaction", async () => {
  const { run, steps } = prepare(three(), same);
  const membersCompared = ["a", "b", "c"];
  assert.deepEqual(await run(), { revision: 50, hash: 7, compactRevision: 3, membersCompared });
  assert.deepEqual(steps, [{ step: "HashesAgree", members: membersCompared, hash: 7, revision: 50 }]);
});

test("all are asked at one revision that each of them has, with time enough for their size", async () => {
  const members = [
    member("a", { revision: 60 }),
    member("b"),
    member("c", { revision: 40, dbSize: 8_000_000_000 }),
  ];
  const { run, asked } = prepare(members, same);
  assert.equal((await run())?.revision, 40);
  assert.deepEqual(asked, [
    { name: "a", revision: 40, timeoutMs: 31_000 },
    { name: "b", revision: 40, timeoutMs: 31_000 },
    { name: "c", revision: 40, timeoutMs: 430_000 },
  ]);
});

test("a member far behind is asked, and does not drag the revision below the others' compaction", async () => {
  const { run, asked } = prepare(
    [member("a"), member("b"), member("c", { revision: 5, lag: 1001 })],
    (name) => {
      if (name === "c") throw new OperatorError("SnapshotFailed", "required revision is a future revision");
      return { hash: 7, compactRevision: 3 };
    },
  );
  assert.deepEqual((await run())?.membersCompared, ["a", "b"]);
  assert.deepEqual(new Set(asked.map((a) => a.revision)), new Set([50]));
  assert.deepEqual(
    asked.map((a) => a.name),
    ["a", "b", "c"],
  );
});

test("never asks for a newer revision than the chosen member has, even when that is the one far behind", async () => {
  const members = [member("a", { revision: 60 }), member("b", { revision: 5, lag: 5000 })];
  const { run } = prepare(members, same, { selection: { ...defaultSelection, name: "b" } });
  assert.equal((await run())?.revision, 5);
});

test("a learner cannot say, and is not missed, even where all are required", async () => {
  const { run, asked } = prepare([...three(), member("l", { isLearner: true })], same, {
    hashKV: "Required",
  });
  assert.deepEqual((await run())?.membersCompared, ["a", "b", "c"]);
  assert.ok(!asked.some(({ name }) => name === "l"));
});

test("Skip asks nobody and says nothing", async () => {
  const { run, asked, steps } = prepare(three(), same, { hashKV: "Skip" });
  assert.equal(await run(), undefined);
  assert.deepEqual([asked, steps], [[], []]);
});

test("the only member of a cluster agrees with itself: its hash is worth recording", async () => {
  const { run } = prepare([member("a")], same, { chosen: "a", hashKV: "Required" });
  assert.deepEqual((await run())?.membersCompared, ["a"]);
});

test("a member that has no name goes by its endpoint", async () => {
  const { run } = prepare([member("a"), member("b"), { ...member("c"), name: "" }], same);
  assert.deepEqual((await run())?.membersCompared, ["a", "b", "https://c:2379"]);
});

for (const hashKV of ["WhenAvailable", "Required"] as const) {
  test(`members that differ are refused for good and named with their hashes (${hashKV})`, async () => {
    const { run, steps, asked } = prepare(
      three(),
      (name) => ({ hash: name === "c" ? 255 : 7, compactRevision: 3 }),
      { hashKV },
    );
    const error = await rejects(run(), "MembersDisagree", /at revision 50: a and b 00000007; c 000000ff$/);
    assert.equal(error.permanent, true);
    assert.match(error.hint ?? "", /name it/);
    assert.deepEqual(steps, []);
    assert.equal(asked.length, 3, "a difference is not asked away");
  });
}

test("members that differ do not stop a person who has named the one that holds the truth; it is told", async () => {
  const { run, steps } = prepare(three(), (name) => ({ hash: name === "c" ? 255 : 7, compactRevision: 3 }), {
    selection: { ...defaultSelection, name: "b" },
  });
  assert.equal(await run(), undefined, "a hash that the members do not share is no proof");
  const groups = [
    { hash: 7, members: ["a", "b"] },
    { hash: 255, members: ["c"] },
  ];
  assert.deepEqual(steps, [{ step: "HashesDisagree", groups, member: "b" }]);
});

test("a revision that is compacted away meanwhile gives way to one that the members have by then", async () => {
  const later = [
    [member("a", { revision: 72 }), member("b", { revision: 71 }), member("c", { revision: 70 })],
  ];
  const { run, asked } = prepare(
    three(),
    (_name, revision) => {
      if (revision < 60) throw compacted;
      return { hash: 7, compactRevision: 60 };
    },
    { later },
  );
  assert.equal((await run())?.revision, 70);
  assert.deepEqual(
    asked.map((a) => a.revision),
    [50, 50, 50, 70, 70, 70],
  );
});

test("the newer revision is one that the chosen member has, or had when it was last heard of", async () => {
  for (const [b, revision] of [
    [member("b", { revision: 55, lag: 5000 }), 55],
    [member("b", { revision: 0, error: "no answer" }), 50],
  ] as const) {
    const later = [[member("a", { revision: 70 }), b, member("c", { revision: 70 })]];
    const answer: Answer = (name, _, observed) => ({
      hash: 7,
      compactRevision: observed === 0 && name === "a" ? 1 : 2,
    });
    assert.equal((await prepare(three(), answer, { later }).run())?.revision, revision);
  }
});

test("hashes of different compactions prove nothing, and are tried three times", async () => {
  const { run, steps, asked } = prepare(three(), (name) => ({
    hash: 7,
    compactRevision: name === "a" ? 1 : 2,
  }));
  assert.equal(await run(), undefined);
  assert.equal(asked.length, 9);
  assert.deepEqual(steps, [
    { step: "HashesUnknown", reason: "members were compacted at different revisions (1, 2)" },
  ]);
});

test("where all are required, no proof is a failure that may pass", async () => {
  const { run } = prepare(three(), (name) => ({ hash: 7, compactRevision: name === "a" ? 1 : 2 }), {
    hashKV: "Required",
  });
  const error = await rejects(run(), "NoUsableMember", /could not be compared: members were compacted/);
  assert.equal(error.permanent, false);
  assert.match(error.hint ?? "", /WhenAvailable/);
});

const oneDown = () => [member("a"), member("b"), member("c", { error: "connection refused" })];

test("a member that does not answer leaves the agreement of the others, when that is enough", async () => {
  const { run, asked } = prepare(oneDown(), same);
  assert.deepEqual((await run())?.membersCompared, ["a", "b"]);
  assert.deepEqual(
    asked.map(({ name }) => name),
    ["a", "b"],
  );
});

test("a member that was silent for its whole time is not waited for a second time, and is still missed", async () => {
  const answer: Answer = (name, _revision, observed) => {
    if (name === "a") throw new OperatorError("Timeout", "no answer in time");
    if (observed === 0) throw compacted;
    return { hash: 7, compactRevision: 3 };
  };
  const { run, asked, steps } = prepare(three(), answer);
  assert.deepEqual((await run())?.membersCompared, ["b", "c"]);
  assert.deepEqual(
    asked.map(({ name }) => name),
    ["a", "b", "c", "b", "c"],
  );
  assert.equal(steps.at(-1)?.step, "HashesAgree");
  await rejects(
    prepare(three(), answer, { hashKV: "Required" }).run(),
    "NoUsableMember",
    /a: no answer in time/,
  );
});

test("a member that does not answer is missed where all are required, and is named with its reason", async () => {
  const { run } = prepare(oneDown(), same, { hashKV: "Required" });
  await rejects(run(), "NoUsableMember", /HashKV of all members is required.*: c: connection refused$/);
});

test("a member that fails to say is missed as one that does not answer", async () => {
  const failing: Answer = (name) => {
    if (name === "c") throw new OperatorError("Timeout", "no answer in time");
    return same(name, 0, 0);
  };
  assert.deepEqual((await prepare(three(), failing).run())?.membersCompared, ["a", "b"]);
  await rejects(
    prepare(three(), failing, { hashKV: "Required" }).run(),
    "NoUsableMember",
    /: c: no answer in time$/,
  );
});

test("without quorum those that are left are all that can be required", async () => {
  const { run } = prepare(oneDown(), same, { hashKV: "Required", withoutQuorum: true });
  assert.deepEqual((await run())?.membersCompared, ["a", "b"]);
});

test("the last member standing has nobody to agree with, and is not asked in vain", async () => {
  const members = [member("a", { error: "gone" }), member("b"), member("c", { error: "gone" })];
  const { run, asked, steps, looks } = prepare(members, same);
  assert.equal(await run(), undefined);
  assert.deepEqual(steps, [{ step: "HashesUnknown", reason: "b is the only member that can be asked" }]);
  assert.deepEqual([asked, looks()], [[], 0]);
  await rejects(
    prepare(members, same, { hashKV: "Required" }).run(),
    "NoUsableMember",
    /b is the only member that can be asked/,
  );
});

test("the member that etcd calls corrupt is not compared, and does not keep the others from being backed up", async () => {
  const corrupt = { alarms: [{ memberId: "id-c", alarm: "CORRUPT" }] };
  const members = [member("a", corrupt), member("b", corrupt), member("c", corrupt)];
  const bench = prepare(members, (name) => ({ hash: name === "c" ? 2 : 1, compactRevision: 10 }));
  assert.deepEqual((await bench.run())?.membersCompared, ["a", "b"]);
  assert.deepEqual(
    bench.asked.map(({ name }) => name),
    ["a", "b"],
  );
});

test("a corruption whose member etcd does not know is a difference like any other", async () => {
  const corrupt = { alarms: [{ memberId: "0", alarm: "CORRUPT" }] };
  const members = [member("a", corrupt), member("b", corrupt), member("c", corrupt)];
  const bench = prepare(members, (name) => ({ hash: name === "c" ? 2 : 1, compactRevision: 10 }));
  await assert.rejects(bench.run(), { code: "MembersDisagree" });
});

test("stopped in the middle it stops, and does not take that for a member's silence", async () => {
  const stop = new AbortController();
  const { run, asked } = prepare(
    three(),
    () => {
      stop.abort(new OperatorError("Aborted", "stopped by Ctrl-C"));
      throw new OperatorError("Unreachable", "the call was cancelled");
    },
    { signal: stop.signal },
  );
  await rejects(run(), "Aborted", /stopped by Ctrl-C/);
  assert.equal(asked.length, 1);
});
