import assert from "node:assert/strict";
import { test } from "node:test";
import { OperatorError } from "../core/errors.ts";
import { memberFacts } from "../core/etcd/member.fixture.ts";
import { type MemberFacts, defaultSelection } from "../core/etcd/member-choice.ts";
import { AgreementCache } from "../controllers/agreement-cache.ts";
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

/** A cluster whose members answer HashKV by `answer`. `later`: the members that further calls of `observe` return. */
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
      {
        clusterId: "cafe",
        members,
        choice: {
          chosen: members.find((m) => m.name === chosen) ?? assert.fail(`there is no ${chosen}`),
          reason: "it was named",
          withoutQuorum,
          refusals: [],
        },
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
            assert.equal((asking += 1), 1, "one member at a time is scanned, since a scan stalls its writes");
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
  return { asked, steps, run, observations: () => observed };
}

const same: Answer = () => ({ hash: 7, compactRevision: 3 });
const three = () => [member("a"), member("b"), member("c")];
const compacted = new OperatorError("SnapshotFailed", "required revision has been compacted");

async function rejects(promise: Promise<unknown>, code: string, message: RegExp): Promise<OperatorError> {
  const error: unknown = await promise.then(
    () => assert.fail("the comparison did not reject"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof OperatorError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return error;
}

test("agreement is returned with its revision, hash and compact revision", async () => {
  const { run, steps } = prepare(three(), same);
  const membersCompared = ["a", "b", "c"];
  assert.deepEqual(await run(), { revision: 50, hash: 7, compactRevision: 3, membersCompared });
  assert.deepEqual(steps, [{ step: "HashesAgree", members: membersCompared, hash: 7, revision: 50 }]);
});

test("all members are asked at one revision that each has applied, with a timeout by database size", async () => {
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

test("a member beyond maxLag is asked, but does not lower the compared revision", async () => {
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

test("the compared revision is never newer than the chosen member's, even when that one is beyond maxLag", async () => {
  const members = [member("a", { revision: 60 }), member("b", { revision: 5, lag: 5000 })];
  const { run } = prepare(members, same, { selection: { ...defaultSelection, name: "b" } });
  assert.equal((await run())?.revision, 5);
});

test("a learner is not asked and not missing, even when all members are required", async () => {
  const { run, asked } = prepare([...three(), member("l", { isLearner: true })], same, {
    hashKV: "Required",
  });
  assert.deepEqual((await run())?.membersCompared, ["a", "b", "c"]);
  assert.ok(!asked.some(({ name }) => name === "l"));
});

test("Skip asks no member and reports no step", async () => {
  const { run, asked, steps } = prepare(three(), same, { hashKV: "Skip" });
  assert.equal(await run(), undefined);
  assert.deepEqual([asked, steps], [[], []]);
});

for (const hashKV of ["WhenAvailable", "Required"] as const) {
  test(`the only voting member of a cluster is not scanned: its hash would prove nothing (${hashKV})`, async () => {
    const members = [member("a"), member("l", { isLearner: true })];
    const { run, asked, steps } = prepare(members, same, { chosen: "a", hashKV });
    assert.equal(await run(), undefined);
    assert.deepEqual(asked, []);
    assert.deepEqual(steps, [{ step: "HashesNotNeeded", member: "a" }]);
  });
}

test("a member without a name is listed by its endpoint", async () => {
  const { run } = prepare([member("a"), member("b"), { ...member("c"), name: "" }], same);
  assert.deepEqual((await run())?.membersCompared, ["a", "b", "https://c:2379"]);
});

for (const hashKV of ["WhenAvailable", "Required"] as const) {
  test(`a difference is a permanent error that lists the members by hash (${hashKV})`, async () => {
    const { run, steps, asked } = prepare(
      three(),
      (name) => ({ hash: name === "c" ? 255 : 7, compactRevision: 3 }),
      { hashKV },
    );
    const error = await rejects(run(), "MembersDisagree", /at revision 50: a and b 00000007; c 000000ff$/);
    assert.equal(error.permanent, true);
    assert.match(error.hint ?? "", /name it/);
    assert.deepEqual(steps, []);
    assert.equal(asked.length, 3, "a difference is not compared again");
  });
}

test("a difference is only reported when the member is selected by name", async () => {
  const { run, steps } = prepare(three(), (name) => ({ hash: name === "c" ? 255 : 7, compactRevision: 3 }), {
    selection: { ...defaultSelection, name: "b" },
  });
  assert.equal(await run(), undefined, "a hash that the members do not share is not returned");
  const groups = [
    { hash: 7, members: ["a", "b"] },
    { hash: 255, members: ["c"] },
  ];
  assert.deepEqual(steps, [{ step: "HashesDisagree", groups, member: "b" }]);
});

test("a revision that was compacted meanwhile is replaced by a newer one", async () => {
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

test("the newer revision is one that the chosen member has, or had in its last answer", async () => {
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

test("hashes at different compact revisions are inconclusive after three comparisons", async () => {
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

test("an inconclusive comparison is a temporary error when all members are required", async () => {
  const { run } = prepare(three(), (name) => ({ hash: 7, compactRevision: name === "a" ? 1 : 2 }), {
    hashKV: "Required",
  });
  const error = await rejects(run(), "NoUsableMember", /could not be compared: members were compacted/);
  assert.equal(error.permanent, false);
  assert.match(error.hint ?? "", /WhenAvailable/);
});

const oneDown = () => [member("a"), member("b"), member("c", { error: "connection refused" })];

test("the other members are compared when one does not answer", async () => {
  const { run, asked } = prepare(oneDown(), same);
  assert.deepEqual((await run())?.membersCompared, ["a", "b"]);
  assert.deepEqual(
    asked.map(({ name }) => name),
    ["a", "b"],
  );
});

test("a member that timed out is not asked again, and still counts as missing", async () => {
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

test("a member that does not answer is an error with its reason when all are required", async () => {
  const { run } = prepare(oneDown(), same, { hashKV: "Required" });
  await rejects(run(), "NoUsableMember", /HashKV of all members is required.*: c: connection refused$/);
});

test("a member without a hash is missing like one that does not answer", async () => {
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

test("without quorum only the remaining members are required", async () => {
  const { run } = prepare(oneDown(), same, { hashKV: "Required", withoutQuorum: true });
  assert.deepEqual((await run())?.membersCompared, ["a", "b"]);
});

test("a single remaining member of several is inconclusive, and is not asked", async () => {
  const members = [member("a", { error: "gone" }), member("b"), member("c", { error: "gone" })];
  const { run, asked, steps, observations } = prepare(members, same);
  assert.equal(await run(), undefined);
  assert.deepEqual(steps, [{ step: "HashesUnknown", reason: "b is the only member that can be asked" }]);
  assert.deepEqual([asked, observations()], [[], 0]);
  await rejects(
    prepare(members, same, { hashKV: "Required" }).run(),
    "NoUsableMember",
    /b is the only member that can be asked/,
  );
});

test("a member with the CORRUPT alarm is not compared, and the others are", async () => {
  const corrupt = { alarms: [{ memberId: "id-c", alarm: "CORRUPT" }] };
  const members = [member("a", corrupt), member("b", corrupt), member("c", corrupt)];
  const bench = prepare(members, (name) => ({ hash: name === "c" ? 2 : 1, compactRevision: 10 }));
  assert.deepEqual((await bench.run())?.membersCompared, ["a", "b"]);
  assert.deepEqual(
    bench.asked.map(({ name }) => name),
    ["a", "b"],
  );
});

test("a CORRUPT alarm that names no member leaves every member in the comparison", async () => {
  const corrupt = { alarms: [{ memberId: "0", alarm: "CORRUPT" }] };
  const members = [member("a", corrupt), member("b", corrupt), member("c", corrupt)];
  const bench = prepare(members, (name) => ({ hash: name === "c" ? 2 : 1, compactRevision: 10 }));
  await assert.rejects(bench.run(), { code: "MembersDisagree" });
});

test("an abort throws its reason, and is not counted as a missing answer", async () => {
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

/** What a namespace knows of the clusters that it reaches by one connection, on a clock that the test moves. */
function known() {
  let clock = 0;
  const cache = new AgreementCache({ now: () => clock });
  const agreements = cache.of({ tenant: "ns", connection: "" });
  return { agreements, later: (ms: number) => (clock += ms) };
}

for (const hashKV of ["WhenAvailable", "Required"] as const) {
  test(`an agreement of all members is reused with its own revision, and no member is asked (${hashKV})`, async () => {
    const { agreements, later } = known();
    const first = await prepare(three(), same, { agreements, hashKV }).run();
    later(720_000);
    const moved = three().map((m) => ({ ...m, revision: 90 }));
    const second = prepare(moved, same, { agreements, hashKV });
    assert.deepEqual(await second.run(), first);
    assert.deepEqual(second.asked, []);
    const found = { members: ["a", "b", "c"], hash: 7, revision: 50, ageMs: 720_000 };
    assert.deepEqual(second.steps, [{ step: "HashesAgree", ...found }]);
    later(3_600_000);
    assert.equal((await prepare(moved, same, { agreements, hashKV }).run())?.revision, 90);
  });
}

test("an agreement that is old when its comparison ends is as old when it is found", async () => {
  const { agreements, later } = known();
  const slow: Answer = () => {
    later(600_000);
    return { hash: 7, compactRevision: 3 };
  };
  await prepare(three(), slow, { agreements }).run();
  const { run, steps } = prepare(three(), same, { agreements });
  await run();
  assert.partialDeepStrictEqual(steps, [{ step: "HashesAgree", ageMs: 1_800_000 }]);
});

test("Skip reuses nothing", async () => {
  const { agreements } = known();
  await prepare(three(), same, { agreements }).run();
  assert.equal(await prepare(three(), same, { agreements, hashKV: "Skip" }).run(), undefined);
});

const different: Answer = (name) => ({ hash: name === "c" ? 255 : 7, compactRevision: 3 });
const failsAt =
  (member: string): Answer =>
  (name) => {
    if (name === member) throw new OperatorError("Timeout", "no answer in time");
    return { hash: 7, compactRevision: 3 };
  };

for (const [what, members, answer] of [
  ["a comparison without one member", three(), failsAt("c")],
  ["a comparison while one member does not answer", oneDown(), same],
  [
    "an inconclusive comparison",
    three(),
    ((name) => ({ hash: 7, compactRevision: name === "a" ? 1 : 2 })) as Answer,
  ],
  ["a disagreement", three(), different],
] as const) {
  test(`${what} is never reused`, async () => {
    const { agreements } = known();
    const selection = { ...defaultSelection, name: "b" };
    await prepare([...members], answer, { agreements, selection }).run();
    const next = prepare(three(), same, { agreements });
    await next.run();
    assert.equal(next.asked.length, 3);
  });
}

test("after a disagreement an earlier agreement is not reused either", async () => {
  const { agreements } = known();
  await prepare(three(), same, { agreements }).run();
  const partial: Answer = (name) => ({ hash: name === "a" ? 255 : 7, compactRevision: 3 });
  await rejects(prepare(oneDown(), partial, { agreements }).run(), "MembersDisagree", /differs/);
  const next = prepare(three(), same, { agreements });
  await next.run();
  assert.equal(next.asked.length, 3);
});

test("with a rate each member but the first is delayed, also in the next round of a comparison", async () => {
  const fast = { maxRate: 20_000_000_000 };
  const answer: Answer = (_name, _revision, observed) => {
    if (observed === 0) throw compacted;
    return { hash: 7, compactRevision: 3 };
  };
  const members = three().map((m) => ({ ...m, dbSize: 200_000_000 }));
  const { run, steps } = prepare(members, answer, fast);
  await run();
  const delayed = steps.flatMap((step) => (step.step === "HashPause" ? [step.member] : []));
  assert.deepEqual(delayed, ["b", "c", "a", "b", "c"]);
});

test("a rate that leaves no time for the comparison is refused before a member is asked, unless nothing is compared", async () => {
  const timeLimit = { ms: 40_000, timeoutName: "spec.timeoutSeconds", rateName: "spec.maxRate" };
  const slow = { maxRate: 1_000_000, timeLimit };
  const { run, asked } = prepare(three(), same, slow);
  const error = await rejects(
    run(),
    "InvalidConfiguration",
    /of 3 members for HashKV and of b .*\(60 MB\) .* takes 1m 0s, longer than the 40.0s of spec.timeoutSeconds$/,
  );
  assert.match(error.hint ?? "", /hashKV: Skip/);
  assert.deepEqual(asked, []);
  const { agreements } = known();
  await prepare(three(), same, { agreements }).run();
  assert.equal((await prepare(three(), same, { ...slow, agreements }).run())?.hash, 7);
});
