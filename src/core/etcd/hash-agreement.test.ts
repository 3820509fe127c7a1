import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type MemberHash, agree, describeEqual, describeGroups } from "./hash-agreement.ts";

const hash = (member: string, value: number, compactRevision = -1): MemberHash => ({
  member,
  hash: value,
  compactRevision,
});
const silent = (member: string): MemberHash => ({
  member,
  unavailable: "required revision has been compacted",
});

describe("agree", () => {
  it("agrees when all hashes are equal at one compact revision", () => {
    const agreement = agree([hash("a", 7, 3), hash("b", 7, 3), hash("c", 7, 3)], "b");
    assert.deepEqual(agreement, {
      verdict: "agree",
      hash: 7,
      compactRevision: 3,
      compared: ["a", "b", "c"],
      missing: [],
    });
  });

  it("groups the members by hash when hashes differ", () => {
    const agreement = agree([hash("a", 7), hash("b", 8), hash("c", 7)], "a");
    assert.deepEqual(agreement, {
      verdict: "disagree",
      groups: [
        { hash: 7, members: ["a", "c"] },
        { hash: 8, members: ["b"] },
      ],
    });
  });

  it("finds a difference at one compact revision, even when a third member has another compact revision", () => {
    assert.equal(agree([hash("a", 1, 5), hash("b", 7, 6), hash("c", 8, 6)], "a").verdict, "disagree");
  });

  const undecided: [string, MemberHash[], string, RegExp][] = [
    [
      "unequal compact revisions",
      [hash("a", 7, 1), hash("b", 8, 2)],
      "a",
      /compacted at different revisions \(1, 2\)/,
    ],
    [
      "the hash of one of two members",
      [hash("a", 7), silent("b")],
      "a",
      /b: required revision has been compacted/,
    ],
    [
      "equal hashes without the chosen member's",
      [silent("a"), hash("b", 7), hash("c", 7)],
      "a",
      /a: required/,
    ],
    ["members without a hash", [silent("a"), silent("b")], "a", /a: .*; b: /],
    ["no member", [], "a", /no member was asked/],
    ["a hash without a compact revision", [hash("a", 7), { member: "b", hash: 7 }], "a", /^b: no answer$/],
    [
      "hashes of the other members, when the chosen one was not asked",
      [hash("b", 7), hash("c", 7)],
      "a",
      /^a was not asked$/,
    ],
  ];
  for (const [what, hashes, chosen, reason] of undecided) {
    it(`is inconclusive for ${what}`, () => {
      const agreement = agree(hashes, chosen);
      assert.equal(agreement.verdict, "inconclusive");
      assert.match(agreement.verdict === "inconclusive" ? agreement.reason : "", reason);
    });
  }

  it("agrees for the only member of a cluster", () => {
    assert.equal(agree([hash("a", 7)], "a").verdict, "agree");
  });

  it("lists the members that were compared and those that could not be", () => {
    const agreement = agree([hash("a", 7), silent("b"), hash("c", 7)], "a");
    assert.deepEqual(agreement, {
      verdict: "agree",
      hash: 7,
      compactRevision: -1,
      compared: ["a", "c"],
      missing: [silent("b")],
    });
  });

  it("finds every difference at one compact revision, in any order of the members", () => {
    const one = fc.record({ hash: fc.nat(1), compactRevision: fc.nat(2) });
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 5 }), (list) => {
        const hashes = list.map((h, i) => hash(`m${i}`, h.hash, h.compactRevision));
        const differs = list.some((a) =>
          list.some((b) => a.compactRevision === b.compactRevision && a.hash !== b.hash),
        );
        for (const order of [hashes, hashes.toReversed()]) {
          assert.equal(agree(order, "m0").verdict === "disagree", differs);
        }
      }),
    );
  });

  it("never agrees without the chosen member, nor when two hashes of one compact revision differ", () => {
    const one = fc.record({ hash: fc.option(fc.nat(2), { nil: undefined }), compactRevision: fc.nat(1) });
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 5 }), fc.nat(4), (list, index) => {
        const hashes = list.map(
          (h, i): MemberHash =>
            h.hash === undefined ? silent(`m${i}`) : hash(`m${i}`, h.hash, h.compactRevision),
        );
        const agreement = agree(hashes, `m${index}`);
        if (agreement.verdict !== "agree") return;
        assert.ok(agreement.compared.includes(`m${index}`));
        assert.ok(agreement.compared.length > 1 || hashes.length === 1);
        assert.equal(new Set(hashes.flatMap((h) => h.hash ?? [])).size, 1);
      }),
    );
  });
});

it("a group is described by its members and a hash of eight hex digits", () => {
  const groups = [
    { hash: 7, members: ["a", "b"] },
    { hash: 0xffffffff, members: ["c"] },
  ];
  assert.equal(describeGroups(groups), "a and b 00000007; c ffffffff");
});

it("equal hashes are described with their revision, and with their age when they are not of now", () => {
  const found = { members: ["a", "b"], revision: 42 };
  assert.equal(describeEqual(found), "equal on a, b at revision 42");
  for (const [ageMs, ago] of [
    [0, "less than a minute"],
    [119_999, "1 minute"],
    [720_000, "12 minutes"],
  ] as const)
    assert.equal(describeEqual({ ...found, ageMs }), `equal on a, b at revision 42, compared ${ago} ago`);
});
