import assert from "node:assert/strict";
import { test } from "node:test";
import { memberFacts } from "../core/etcd/member.fixture.ts";
import type { MemberFacts } from "../core/etcd/member-choice.ts";
import type { Agreement } from "../backup/agreements.ts";
import { AgreementCache } from "./agreement-cache.ts";

const agreement: Agreement = { revision: 42, hash: 7, compactRevision: 3, membersCompared: ["a", "b"] };
const members: MemberFacts[] = [memberFacts("a"), memberFacts("b")];
const observed = { clusterId: "cafe", members };
const connection = "endpoints and options";

function begun(capacity = 10) {
  let clock = 0;
  const cache = new AgreementCache({ capacity, now: () => clock });
  return {
    cache,
    of: (tenant: string) => cache.of({ tenant, connection }),
    later: (ms: number) => (clock += ms),
  };
}

test("an agreement is found for an hour, with its age", () => {
  const { of, later } = begun();
  of("a").keep(observed, agreement, 0);
  later(3_600_000);
  assert.deepEqual(of("a").find(observed), { agreement, ageMs: 3_600_000 });
  later(1);
  assert.equal(of("a").find(observed), undefined);
});

test("the age counts from the choice of the revision, not from the end of the comparison", () => {
  const { of, later } = begun();
  later(600_000);
  of("a").keep(observed, agreement, 0);
  assert.equal(of("a").find(observed)?.ageMs, 600_000);
});

test("what is found does not become younger", () => {
  const { of, later } = begun();
  of("a").keep(observed, agreement, 0);
  later(3_000_000);
  of("a").find(observed);
  later(600_001);
  assert.equal(of("a").find(observed), undefined);
});

test("an agreement is not found by another tenant, connection or cluster, nor at other endpoints", () => {
  const { cache, of } = begun();
  of("a").keep(observed, agreement, 0);
  assert.equal(of("b").find(observed), undefined);
  assert.equal(cache.of({ tenant: "a", connection: "another" }).find(observed), undefined);
  assert.equal(of("a").find({ ...observed, clusterId: "beef" }), undefined);
  const elsewhere = members.map((m) => ({ ...m, endpoint: `${m.endpoint}0` }));
  assert.equal(of("a").find({ ...observed, members: elsewhere }), undefined);
});

test("a member that does not answer hides the agreement until it answers again", () => {
  const { of } = begun();
  of("a").keep(observed, agreement, 0);
  const down = members.map((m) => ({ ...m, error: "connection refused" }));
  assert.equal(of("a").find({ ...observed, members: down }), undefined);
  assert.notEqual(of("a").find(observed), undefined);
});

test("a disagreement drops what the tenant knows of the cluster, and nothing of other tenants", () => {
  const { cache, of } = begun();
  const other = { ...observed, clusterId: "beef" };
  of("a").keep(observed, agreement, 0);
  of("a").keep(other, agreement, 0);
  of("b").keep(observed, agreement, 0);
  cache.of({ tenant: "a", connection: "another" }).drop("cafe");
  assert.equal(of("a").find(observed), undefined);
  assert.notEqual(of("a").find(other), undefined);
  assert.notEqual(of("b").find(observed), undefined);
});

test("beyond its capacity the cache forgets the agreement that was not used for the longest time", () => {
  const { of } = begun(2);
  const [first, second, third] = ["1", "2", "3"].map((clusterId) => ({ clusterId, members }));
  assert.ok(first && second && third);
  of("a").keep(first, agreement, 0);
  of("a").keep(second, agreement, 0);
  of("a").find(first);
  of("a").keep(third, agreement, 0);
  assert.deepEqual(
    [first, second, third].map((each) => of("a").find(each) !== undefined),
    [true, false, true],
  );
});
