import assert from "node:assert/strict";
import { test } from "node:test";
import { type MemberStatus, judgeAfterLastByte, judgeBeforeFirstByte } from "./last-status.ts";
import { memberFacts, statusOf } from "./member.fixture.ts";
import { type ChosenMember, type MemberSelection, defaultSelection } from "./member-choice.ts";

const choice: ChosenMember = {
  chosen: memberFacts("b", { lag: 2, raftAppliedIndex: 98 }),
  reason: "follower, lag 2",
  withoutQuorum: false,
  refusals: [],
};
const lost: ChosenMember = { ...choice, reason: "quorum is lost", withoutQuorum: true };
const allowed: Partial<MemberSelection> = { allowWithoutQuorum: true };

const status = (over: Partial<MemberStatus> = {}) => statusOf(memberFacts("b"), over);

function question(over: Partial<MemberSelection> = {}, of = choice) {
  return { choice: of, clusterId: "cafe", selection: { ...defaultSelection, ...over } };
}

const corrupt = { alarms: [{ memberId: "b", alarm: "CORRUPT" }] };

test("the facts are those of the last Status", () => {
  const answer = status({ version: "3.6.17", revision: 50, leader: "b" });
  const judged = judgeBeforeFirstByte(question(), answer, true);
  assert.ok(judged.verdict === "usable");
  const { chosen, reason, withoutQuorum } = judged.choice;
  assert.deepEqual([chosen.version, chosen.revision, chosen.isLeader, chosen.lag], ["3.6.17", 50, true, 0]);
  assert.equal(reason, "follower, lag 2; leader by the first byte");
  assert.equal(withoutQuorum, false);
});

test("the lag counts from the highest commit index that is known", () => {
  for (const [raftIndex, raftAppliedIndex, lag] of [
    [90, 90, 10],
    [120, 110, 10],
    [120, 120, 0],
  ] as const) {
    const judged = judgeBeforeFirstByte(question(), status({ raftIndex, raftAppliedIndex }), true);
    assert.equal(judged.verdict === "usable" && judged.choice.chosen.lag, lag);
  }
});

for (const [what, over] of [
  ["member", { memberId: "c" }],
  ["cluster", { clusterId: "beef" }],
] as const) {
  test(`another ${what} behind the endpoint is moved, whatever is allowed`, () => {
    const judged = judgeBeforeFirstByte(question(allowed), status(over), false);
    assert.equal(judged.verdict, "moved");
    assert.match(judged.verdict === "moved" ? judged.reason : "", /is answered by .* not by/);
  });
}

const refusals: [string, Partial<MemberStatus>, boolean, RegExp][] = [
  ["lost its leader", { leader: "0" }, false, /no leader/],
  ["names a leader, but has no quorum", {}, false, /quorum could not be confirmed/],
  ["is a learner", { isLearner: true }, true, /learner/],
  ["has the CORRUPT alarm", corrupt, true, /CORRUPT/],
  ["fell behind", { raftIndex: 5000, raftAppliedIndex: 100 }, true, /4900 entries behind/],
];
for (const [what, over, hasQuorum, reason] of refusals) {
  test(`a member that ${what} is refused`, () => {
    const judged = judgeBeforeFirstByte(question(), status(over), hasQuorum);
    assert.match(judged.verdict === "refused" ? judged.reason : judged.verdict, reason);
  });
}

for (const [what, over] of [
  ["no leader is known", { leader: "0" }],
  ["a leader is named and no read succeeds", {}],
] as const) {
  test(`where it is allowed, a quorum that is lost is recorded when ${what}`, () => {
    const judged = judgeBeforeFirstByte(question(allowed), status(over), false);
    assert.ok(judged.verdict === "usable");
    assert.equal(judged.choice.withoutQuorum, true);
    assert.match(judged.choice.reason, /quorum was lost before the first byte$/);
  });
}

test("a quorum that came back after the choice is recorded as quorum", () => {
  const judged = judgeBeforeFirstByte(question(allowed, lost), status(), true);
  assert.ok(judged.verdict === "usable");
  assert.equal(judged.choice.withoutQuorum, false);
  assert.match(judged.choice.reason, /it had a leader again/);
});

test("a member with the CORRUPT alarm is refused without quorum too", () => {
  const judged = judgeBeforeFirstByte(question(allowed, lost), status({ ...corrupt, leader: "0" }), false);
  assert.equal(judged.verdict, "refused");
});

test("after the last byte an unchanged member says nothing", () => {
  assert.deepEqual(judgeAfterLastByte(question(), status()), { verdict: "unchanged" });
});

for (const [what, over] of [
  ["lost its leader", { leader: "0" }],
  ["gave its endpoint to another member", { memberId: "c" }],
] as const) {
  test(`after the last byte a member that ${what} leaves the end unconfirmed`, () => {
    assert.equal(judgeAfterLastByte(question(), status(over)).verdict, "unconfirmed");
  });
}

test("after the last byte a lag and a lost leader do not matter where quorum was lost before", () => {
  const judged = judgeAfterLastByte(question(allowed, lost), status({ leader: "0", raftIndex: 9000 }));
  assert.equal(judged.verdict, "unchanged");
});

test("after the last byte a CORRUPT alarm of the member is told, and that of another is not", () => {
  assert.equal(judgeAfterLastByte(question(), status(corrupt)).verdict, "corrupt");
  const other = { alarms: [{ memberId: "c", alarm: "CORRUPT" }] };
  assert.equal(judgeAfterLastByte(question(), status(other)).verdict, "unchanged");
});
