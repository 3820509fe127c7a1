import assert from "node:assert/strict";
import { test } from "node:test";
import { endpointStatus, hashKV, listedMembers } from "./answers.ts";

const header = {
  cluster_id: "14841639068965178418",
  member_id: "10276657743932975437",
  revision: "42",
  raft_term: "3",
};

test("a status has hex IDs, plain numbers, and the alarms among its errors", () => {
  const status = endpointStatus({
    header,
    version: "3.6.16",
    dbSize: "25165824",
    dbSizeInUse: "12582912",
    leader: "0",
    raftTerm: "3",
    raftIndex: "120",
    raftAppliedIndex: "118",
    isLearner: false,
    errors: ["memberID:10501334649042878790 alarm:NOSPACE ", "etcdserver: no leader", "alarm:CORRUPT"],
  });
  assert.deepEqual(status, {
    clusterId: "cdf818194e3a8c32",
    memberId: "8e9e05c52164694d",
    revision: 42,
    version: "3.6.16",
    dbSize: 25_165_824,
    dbSizeInUse: 12_582_912,
    leader: "0",
    raftTerm: 3,
    raftIndex: 120,
    raftAppliedIndex: 118,
    isLearner: false,
    alarms: [
      { memberId: "91bc3c398fb3c146", alarm: "NOSPACE" },
      { memberId: "0", alarm: "CORRUPT" },
    ],
  });
});

test("a listed member has a hex ID", () => {
  const member = { ID: header.member_id, name: "m0", clientURLs: [], peerURLs: ["http://m0:2380"] };
  const listed = listedMembers({ header, members: [{ ...member, isLearner: true }] });
  assert.deepEqual(listed, [
    { id: "8e9e05c52164694d", name: "m0", clientURLs: [], peerURLs: ["http://m0:2380"], isLearner: true },
  ]);
});

test("a HashKV is plain numbers", () => {
  const answer = hashKV({ header, hash: "3968617545", compact_revision: "7" });
  assert.deepEqual(answer, { hash: 3_968_617_545, compactRevision: 7 });
});
