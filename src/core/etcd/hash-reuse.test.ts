import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { mayReuse, votersKey } from "./hash-reuse.ts";
import { memberFacts } from "./member.fixture.ts";
import type { MemberFacts } from "./member-choice.ts";

const before = [memberFacts("a"), memberFacts("b"), memberFacts("c")];
const withC = (over: Partial<MemberFacts>) => [memberFacts("a"), memberFacts("b"), memberFacts("c", over)];
const corruptOf = (memberId: string) => ({ alarms: [{ memberId, alarm: "CORRUPT" }] });

describe("an agreement of HashKV", () => {
  const cases: readonly (readonly [string, MemberFacts[], boolean])[] = [
    ["that is as old as the members", before, true],
    ["of members that have moved on", withC({ revision: 90, raftIndex: 900, raftTerm: 3 }), true],
    ["of a member that has become the leader", withC({ isLeader: true }), true],
    [
      "with a learner that has no data yet",
      [...before, memberFacts("l", { isLearner: true, revision: 0 })],
      true,
    ],
    ["with an alarm about space", withC({ alarms: [{ memberId: "c", alarm: "NOSPACE" }] }), true],
    ["of a member that does not answer", withC({ error: "connection refused" }), false],
    ["of a member that is corrupt", withC(corruptOf("c")), false],
    ["of a cluster in which another member is corrupt", withC(corruptOf("a")), false],
    ["of a cluster in which an unknown member is corrupt", withC(corruptOf("0")), false],
    ["of a member whose term has gone back", withC({ raftTerm: 1 }), false],
    ["of a member whose index has gone back", withC({ raftIndex: 99 }), false],
    ["of a member whose revision is below the compared one", withC({ revision: 41 }), false],
    ["of other members", withC({ id: "d" }), false],
  ];
  for (const [what, now, expected] of cases)
    it(`${what} is ${expected ? "reused" : "not reused"}`, () => {
      assert.equal(mayReuse({ before, revision: 42 }, now), expected);
    });
});

describe("the key of the voting members", () => {
  it("is the same in any order, and whatever learners there are", () => {
    const others = [memberFacts("l", { isLearner: true }), ...before.toReversed()];
    assert.equal(votersKey(others), votersKey(before));
  });

  for (const [what, now] of [
    ["another ID", withC({ id: "d" })],
    ["another endpoint", withC({ endpoint: "https://other:2379" })],
    ["one member less", before.slice(1)],
    ["one member more", [...before, memberFacts("d")]],
    ["a learner that votes now", [...before, memberFacts("l")]],
  ] as const)
    it(`differs with ${what}`, () => assert.notEqual(votersKey(now), votersKey(before)));
});
