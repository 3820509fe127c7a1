import assert from "node:assert/strict";
import { test } from "node:test";
import { OperatorError } from "../core/errors.ts";
import type { EndpointStatus, ListedMember } from "./answers.ts";
import { observeCluster } from "./observe.ts";
import { conflictingAnswers, membersWithoutAnswer, mergeAnswers } from "./member-observation.ts";

function status(memberId: string, facts: Partial<EndpointStatus> = {}): EndpointStatus {
  return {
    clusterId: "c",
    memberId,
    revision: 10,
    version: "3.6.16",
    dbSize: 100,
    dbSizeInUse: 50,
    leader: "a",
    raftTerm: 2,
    raftIndex: 20,
    raftAppliedIndex: 20,
    isLearner: false,
    alarms: [],
    ...facts,
  };
}

function listed(id: string, name: string): ListedMember {
  const urls = { clientURLs: [`http://${name}:2379`], peerURLs: [`http://${name}:2380`] };
  return { id, name, ...urls, isLearner: false };
}

const members = [listed("a", "m0"), listed("b", "m1"), listed("c", "m2")];

test("there is one row a member, sorted by name, with its lag behind the leader's committed index", () => {
  const rows = mergeAnswers(
    [
      { url: "http://m1:2379", status: status("b", { raftAppliedIndex: 17 }) },
      { url: "http://m0:2379", status: status("a") },
      { url: "http://10.0.0.1:2379", status: status("a") },
    ],
    members,
  );
  assert.deepEqual(
    rows.map(({ name, endpoint, isLeader, lag }) => [name, endpoint, isLeader, lag]),
    [
      ["m0", "http://m0:2379", true, 0],
      ["m1", "http://m1:2379", false, 3],
    ],
  );
});

test("an endpoint that answers replaces one of the same member that did not", () => {
  const error = new OperatorError("Unreachable", "status at http://m0:2379: connection refused");
  const rows = mergeAnswers(
    [
      { url: "http://m0:2379", error },
      { url: "http://10.0.0.1:2379", status: status("a") },
    ],
    members,
  );
  assert.deepEqual(
    rows.map(({ endpoint, error: why }) => [endpoint, why]),
    [["http://10.0.0.1:2379", undefined]],
  );
});

test("a member without an answer is a row with the error's summary and what the member list knows", () => {
  const error = new OperatorError("Timeout", "status at http://m2:2379: no answer in time", {
    summary: "no answer in time",
  });
  const [row] = mergeAnswers([{ url: "http://m2:2379", error, expectedId: "c" }], members);
  assert.deepEqual([row?.id, row?.name, row?.error, row?.leader], ["c", "m2", "no answer in time", "0"]);
});

test("a deposed leader that has not learned of the new term does not set the committed index", () => {
  const rows = mergeAnswers(
    [
      { url: "http://m0:2379", status: status("a", { raftTerm: 1, raftIndex: 90, raftAppliedIndex: 15 }) },
      { url: "http://m1:2379", status: status("b", { leader: "b", raftIndex: 20, raftAppliedIndex: 19 }) },
    ],
    members,
  );
  assert.deepEqual(
    rows.map(({ name, lag }) => [name, lag]),
    [
      ["m0", 5],
      ["m1", 1],
    ],
  );
});

test("without an answer of the leader the highest known committed index counts", () => {
  const rows = mergeAnswers(
    [
      { url: "http://m1:2379", status: status("b", { raftIndex: 30, raftAppliedIndex: 30 }) },
      { url: "http://m2:2379", status: status("c", { raftIndex: 25, raftAppliedIndex: 25 }) },
    ],
    members,
  );
  assert.deepEqual(
    rows.map(({ lag }) => lag),
    [0, 5],
  );
});

test("members of the list that have not answered are to be asked", () => {
  const answers = [{ url: "http://10.0.0.1:2379", status: status("b") }, { url: "http://10.0.0.9:2379" }];
  assert.deepEqual(
    membersWithoutAnswer(members, answers).map(({ name }) => name),
    ["m0", "m2"],
  );
});

test("two members with one ID and different member lists are told apart", async () => {
  const clone = { ...listed("a", "m0"), clientURLs: ["http://m0.other:2379"] };
  const answers = [
    { url: "http://m0:2379", status: status("a"), listed: members },
    { url: "http://m0.other:2379", status: status("a"), listed: [clone] },
  ];
  const pair = { first: "http://m0:2379", second: "http://m0.other:2379", id: "a" };
  assert.deepEqual(conflictingAnswers(answers), pair);
  const open = (url: string) => {
    const answer = answers.find((one) => one.url === url) ?? assert.fail(url);
    return { status: async () => answer.status, members: async () => answer.listed };
  };
  const { signal } = new AbortController();
  await assert.rejects(observeCluster([pair.first, pair.second], open, signal), {
    code: "Refused",
    permanent: false,
    message: /two members with the ID a: they belong to different clusters/,
  });
});

test("one member behind two endpoints, and a member that lags with an old list, are no conflict", () => {
  const [m0, m1, m2] = members;
  assert.ok(m0 && m1 && m2);
  const old = [
    { ...m0, clientURLs: ["http://old:2379"] },
    { ...m1, name: "" },
  ];
  const answers = [
    { url: "http://m0:2379", status: status("a"), listed: members },
    { url: "http://10.0.0.1:2379", status: status("a"), listed: members },
    { url: "http://m2:2379", status: status("c"), listed: old },
    { url: "http://m1:2379", status: status("b") },
  ];
  assert.equal(conflictingAnswers(answers), undefined);
});
