import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { memberFacts } from "./member.fixture.ts";
import { type MemberFacts, type MemberSelection, chooseMember, defaultSelection } from "./member-choice.ts";

function member(name: string, over: Partial<MemberFacts> = {}): MemberFacts {
  return memberFacts(name, { id: `id-${name}`, leader: "id-a", version: "3.6.0", revision: 10, ...over });
}

const leader = member("a", { isLeader: true });
const corrupt = (memberId: string) => ({ alarms: [{ memberId, alarm: "CORRUPT" }] });

describe("chooseMember", () => {
  const table: [string, MemberFacts[], Partial<MemberSelection>, string | undefined, RegExp][] = [
    ["a follower before the leader", [leader, member("b"), member("c")], {}, "b", /^follower, lag 0$/],
    [
      "the follower with the smallest lag",
      [leader, member("b", { lag: 5 }), member("c", { lag: 4 })],
      {},
      "c",
      /lag 4/,
    ],
    [
      "the leader when no follower is usable",
      [leader, member("b", { error: "silent" })],
      {},
      "a",
      /only usable member/,
    ],
    ["the leader when it is preferred", [leader, member("b")], { prefer: "Leader" }, "a", /^leader/],
    [
      "the member with the smallest lag when none is preferred",
      [member("a", { isLeader: true, lag: 1 }), member("b")],
      { prefer: "Any" },
      "b",
      /smallest lag/,
    ],
    [
      "no learner, even when it is the only member",
      [member("b", { isLearner: true })],
      {},
      undefined,
      /no member may serve/,
    ],
    ["no member beyond maxLag", [member("b", { lag: 1001 })], {}, undefined, /no member may serve/],
    [
      "a named member whatever its lag",
      [leader, member("b", { lag: 5000 })],
      { name: "b" },
      "b",
      /selected by name/,
    ],
    ["a named member by its ID", [leader, member("b")], { name: "id-a" }, "a", /selected by name/],
    [
      "no member for an unknown name, and lists the names",
      [leader, member("b")],
      { name: "x" },
      undefined,
      /named x; the members are a, b/,
    ],
    [
      "no named member that does not answer",
      [leader, member("b", { error: "silent" })],
      { name: "b" },
      undefined,
      /no member may serve/,
    ],
    [
      "a member for which no CORRUPT alarm is raised",
      [member("b", corrupt("id-b")), member("c", corrupt("id-b"))],
      {},
      "c",
      /only usable/,
    ],
    [
      "no member when the corrupt member is unknown",
      [member("b", corrupt("0")), member("c", corrupt("0"))],
      {},
      undefined,
      /no member may/,
    ],
    [
      "the named member when the corrupt member is unknown",
      [member("b", corrupt("0")), member("c", corrupt("0"))],
      { name: "c" },
      "c",
      /by name/,
    ],
    ["no member without a leader", [member("b", { leader: "0" })], {}, undefined, /quorum is lost/],
    [
      "no member that is cut off from the leader",
      [member("b", { leader: "0" }), member("c")],
      {},
      "c",
      /only usable/,
    ],
    [
      "no member when no endpoint answers",
      [member("b", { error: "x" }), member("c", { error: "y" })],
      {},
      undefined,
      /none of 2 endpoints answers/,
    ],
    ["no member when there is no endpoint", [], {}, undefined, /no endpoint/],
    [
      "the member with the highest applied index when quorum is lost and that is allowed",
      [
        member("b", { leader: "0", raftAppliedIndex: 7 }),
        member("c", { leader: "0", raftAppliedIndex: 9 }),
        member("d", { error: "gone" }),
      ],
      { allowWithoutQuorum: true },
      "c",
      /quorum is lost; highest applied index \(9\)/,
    ],
  ];
  for (const [what, members, selection, name, reason] of table) {
    it(`chooses ${what}`, () => {
      const choice = chooseMember(members, { ...defaultSelection, ...selection });
      assert.equal(choice.chosen?.name, name);
      assert.match(choice.reason, reason);
    });
  }

  it("marks the choice as without quorum only when quorum is lost", () => {
    const allowed = { ...defaultSelection, allowWithoutQuorum: true };
    assert.equal(chooseMember([leader, member("b")], allowed).withoutQuorum, false);
    assert.equal(chooseMember([member("b", { leader: "0" })], allowed).withoutQuorum, true);
  });

  const anyMember = fc
    .record({
      name: fc.constantFrom("a", "b", "c", "d", "e", "f"),
      isLeader: fc.boolean(),
      isLearner: fc.constantFrom(false, false, false, true),
      leader: fc.constantFrom("id-a", "id-a", "id-a", "0"),
      lag: fc.oneof(fc.nat(2), fc.constantFrom(1000, 1001), fc.nat(2000)),
      raftAppliedIndex: fc.integer({ min: 98, max: 100 }),
      error: fc.constantFrom(undefined, undefined, undefined, "silent"),
    })
    .map(({ name, error, ...over }) => member(name, { ...over, ...(error === undefined ? {} : { error }) }));
  const members = fc.uniqueArray(anyMember, { selector: (m) => m.name, maxLength: 6 });
  const prefer = fc.constantFrom("Follower" as const, "Leader" as const, "Any" as const);

  it("never chooses a learner, a member that does not answer or one beyond maxLag, and explains every refusal", () => {
    fc.assert(
      fc.property(members, prefer, fc.boolean(), (all, preferred, allowWithoutQuorum) => {
        const choice = chooseMember(all, { ...defaultSelection, prefer: preferred, allowWithoutQuorum });
        const { chosen } = choice;
        if (chosen !== undefined) {
          assert.equal(chosen.error, undefined);
          assert.equal(chosen.isLearner, false);
          assert.ok(chosen.lag <= defaultSelection.maxLag || choice.withoutQuorum);
          assert.ok(chosen.leader !== "0" || choice.withoutQuorum);
        }
        const judged = [...choice.refusals.map((r) => r.member), ...(chosen === undefined ? [] : [chosen])];
        assert.deepEqual(judged.map((m) => m.name).toSorted(), all.map((m) => m.name).toSorted());
        assert.ok(choice.refusals.every(({ reason }) => reason !== ""));
      }),
    );
  });

  it("chooses the named member if it answers, votes and has a leader, whatever its lag, and no other", () => {
    fc.assert(
      fc.property(members, prefer, fc.constantFrom("a", "b", "c"), (all, preferred, name) => {
        const { chosen } = chooseMember(all, { ...defaultSelection, prefer: preferred, name });
        const usable = all.find(
          (m) => m.name === name && m.error === undefined && !m.isLearner && m.leader !== "0",
        );
        assert.deepEqual(chosen, usable);
      }),
    );
  });

  it("makes the same choice for the same reasons in any order of the members", () => {
    const shuffled = members.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
    );
    fc.assert(
      fc.property(shuffled, prefer, fc.boolean(), ([all, again], preferred, allowWithoutQuorum) => {
        const selection = { ...defaultSelection, prefer: preferred, allowWithoutQuorum };
        const choiceOf = (list: MemberFacts[]) => {
          const { refusals, ...choice } = chooseMember(list, selection);
          return { ...choice, refusals: new Map(refusals.map((r) => [r.member.name, r.reason])) };
        };
        assert.deepEqual(choiceOf(again), choiceOf(all));
      }),
    );
  });

  it("chooses the same member in the reverse order of the members", () => {
    fc.assert(
      fc.property(members, prefer, (all, preferred) => {
        const selection = { ...defaultSelection, prefer: preferred };
        const forward = chooseMember(all, selection).chosen;
        assert.equal(chooseMember(all.toReversed(), selection).chosen?.name, forward?.name);
      }),
    );
  });
});
