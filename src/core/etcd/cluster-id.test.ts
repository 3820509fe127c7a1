import assert from "node:assert/strict";
import { test } from "node:test";
import { clusterIdOf } from "./cluster-id.ts";

test("the cluster ID is that which etcd computes from token and peer URLs", () => {
  // `etcd` without flags: one member at http://localhost:2380 with the token etcd-cluster.
  assert.equal(clusterIdOf("etcd-cluster", [{ peerUrls: ["http://localhost:2380"] }]), "cdf818194e3a8c32");
});

test("the cluster ID depends neither on the order of members nor on that of their URLs", () => {
  const a = { peerUrls: ["http://10.0.0.1:2380", "http://10.1.0.1:2380"] };
  const b = { peerUrls: ["http://10.0.0.2:2380"] };
  const turned = { peerUrls: a.peerUrls.toReversed() };
  assert.equal(clusterIdOf("t", [a, b]), clusterIdOf("t", [b, turned]));
  assert.notEqual(clusterIdOf("t", [a, b]), clusterIdOf("u", [a, b]));
});
