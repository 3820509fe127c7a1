import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AuditedWrite } from "./audit.ts";
import { Leaders, type Sent } from "./leaders.ts";

const lease = (holder: string, resourceVersion: number, at: number): AuditedWrite => ({
  writer: holder === "" ? "a" : holder,
  receivedAt: at - 5,
  doneAt: at,
  resource: "leases",
  subresource: "",
  name: "etcd-backup-operator",
  resourceVersion,
  removed: false,
  holder: holder === "" ? "" : `${holder}_uuid`,
});
const status = (writer: string, resourceVersion: number, receivedAt: number): AuditedWrite => ({
  writer,
  receivedAt,
  doneAt: receivedAt + 5,
  resource: "etcdbackups",
  subresource: "status",
  name: "b",
  resourceVersion,
  removed: false,
});
const sent = (writer: string, at: number): Sent => ({ writer, at, request: "PATCH /etcdbackups/b/status" });
const put = (writer: string, at: number): Sent => ({ writer, at, request: "Put of /bucket/prod/x.json" });

/** Operator a leads from 1000 on, operator b from 9000 on. */
const terms = [lease("a", 10, 1_000), lease("a", 20, 2_000), lease("b", 50, 9_000)];
const nothing = { writes: terms, sent: [], stored: [], stops: [] };

describe("an act without the lease", () => {
  const judge = (seen: Partial<Parameters<Leaders["judge"]>[0]>) => {
    const { violations, underWay } = new Leaders().judge({ ...nothing, ...seen });
    return [violations.length, underWay.length];
  };

  it("does not exist when each operator acts in its own term", () => {
    const writes = [...terms, status("a", 30, 3_000), status("b", 60, 9_500)];
    assert.deepEqual(judge({ writes, stored: [put("a", 8_999), put("b", 9_000)] }), [0, 0]);
  });

  it("is found by the order of the writes, in whatever order they are given", () => {
    assert.deepEqual(judge({ writes: [status("a", 60, 9_500), ...terms] }), [1, 0]);
    assert.deepEqual(judge({ writes: [status("b", 30, 3_000), ...terms] }), [1, 0]);
  });

  it("is found by the clock for the removal of an object, whose last state may be of an earlier term", () => {
    const removal = (at: number) => ({ ...status("b", 30, at), removed: true });
    assert.deepEqual(judge({ writes: [...terms, removal(9_500)] }), [0, 0]);
    assert.deepEqual(judge({ writes: [...terms, removal(8_500)] }), [1, 0]);
  });

  it("is found for requests to the store", () => {
    assert.deepEqual(judge({ stored: [put("a", 9_001)] }), [1, 0]);
    assert.deepEqual(judge({ stored: [put("b", 8_000)] }), [1, 0]);
  });

  it("is under way when it was sent before the term ended, once for each request", () => {
    const writes = [...terms, status("a", 60, 9_500), status("a", 61, 9_600)];
    assert.deepEqual(judge({ writes, sent: [sent("a", 8_900), sent("a", 9_400)] }), [1, 1]);
  });

  it("is found and excused for a creation, whose request does not name the object", () => {
    const creation = {
      ...status("a", 60, 9_500),
      subresource: "",
      created: { name: "b", uid: "u" },
    };
    const post = (at: number): Sent => ({ writer: "a", at, request: "POST /namespaces/ns/etcdbackups" });
    assert.deepEqual(judge({ writes: [...terms, creation], sent: [sent("a", 8_900)] }), [1, 0]);
    assert.deepEqual(judge({ writes: [...terms, creation], sent: [post(8_900)] }), [0, 1]);
  });

  it("is under way when it is the first act right after a pause", () => {
    const stops = [{ writer: "a", until: 20_000 }];
    assert.deepEqual(judge({ stops, stored: [put("a", 20_100), put("a", 20_200)] }), [1, 1]);
    assert.deepEqual(judge({ stops, stored: [put("a", 25_000)] }), [1, 0]);
    assert.deepEqual(judge({ stops, stored: [put("a", 15_000)] }), [1, 0]);
  });

  it("is found after the lease was released", () => {
    const writes = [...terms, lease("", 70, 12_000), status("b", 80, 12_500)];
    assert.deepEqual(judge({ writes }), [1, 0]);
  });

  it("is found by the terms of earlier calls, too", () => {
    const leaders = new Leaders();
    leaders.judge(nothing);
    const { violations } = leaders.judge({ ...nothing, writes: [status("a", 99, 30_000)] });
    assert.match(violations.join(), /^a: PATCH of b\/status .* while b held the lease since/);
  });
});
