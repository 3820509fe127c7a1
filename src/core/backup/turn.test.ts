import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import { memberFacts } from "../etcd/member.fixture.ts";
import { backupOf } from "./backup.fixture.ts";
import { turnKeyOf, turnStateOf } from "./turn.ts";

type Etcd = NonNullable<EtcdBackup["spec"]["etcd"]>;

const { metadata, spec } = backupOf();
const ofFixture = spec.etcd ?? assert.fail("the fixture names an etcd");

function keyOf(etcd: Partial<Etcd>, namespace = "ns"): string {
  const { endpoints: _, ...others } = ofFixture;
  const changed = { metadata: { ...metadata, namespace }, spec: { ...spec, etcd: { ...others, ...etcd } } };
  return turnKeyOf(changed) ?? assert.fail("it has no turn");
}

const service = { name: "etcd", port: 2379, scheme: "https" as const };
const podSelector = {
  matchLabels: { component: "etcd", tier: "control-plane" },
  port: 2379,
  scheme: "https" as const,
};

describe("the turn of an EtcdBackup", () => {
  const same: readonly (readonly [string, string, string])[] = [
    ["endpoints in another order", keyOf({ endpoints: ["a", "b"] }), keyOf({ endpoints: ["b", "a"] })],
    ["endpoints in another namespace", keyOf({ endpoints: ["a"] }), keyOf({ endpoints: ["a"] }, "other")],
    [
      "another selection of the member",
      keyOf({ endpoints: ["a"] }),
      keyOf({
        endpoints: ["a"],
        memberSelection: { ...ofFixture.memberSelection, prefer: "Leader" },
      }),
    ],
    [
      "a Service whose namespace is written out",
      keyOf({ service }),
      keyOf({ service: { ...service, namespace: "ns" } }, "other"),
    ],
    [
      "labels in another order",
      keyOf({ podSelector }),
      keyOf({ podSelector: { ...podSelector, matchLabels: { tier: "control-plane", component: "etcd" } } }),
    ],
  ];
  for (const [what, one, other] of same) it(`is the same with ${what}`, () => assert.equal(one, other));

  const different: readonly (readonly [string, string, string])[] = [
    ["other endpoints", keyOf({ endpoints: ["a"] }), keyOf({ endpoints: ["a", "b"] })],
    ["a Service of that name in another namespace", keyOf({ service }), keyOf({ service }, "other")],
    ["another port of the Service", keyOf({ service }), keyOf({ service: { ...service, port: 2381 } })],
    ["those Pods in another namespace", keyOf({ podSelector }), keyOf({ podSelector }, "other")],
    [
      "other Pods",
      keyOf({ podSelector }),
      keyOf({ podSelector: { ...podSelector, matchLabels: { component: "etcd" } } }),
    ],
  ];
  for (const [what, one, other] of different)
    it(`is another one with ${what}`, () => assert.notEqual(one, other));

  const choice = { chosen: memberFacts("m1"), reason: "it was named", withoutQuorum: false, refusals: [] };
  for (const [what, report, state] of [
    ["waited for until a member is chosen", {}, "waits"],
    ["held from the choice on", { choice }, "held"],
    ["held while the snapshot is read", { choice, progress: { bytes: 1, totalBytes: 2 } }, "held"],
    ["over after the last byte", { choice, progress: { bytes: 2, totalBytes: 2 } }, "over"],
  ] as const)
    it(`is ${what}`, () => assert.equal(turnStateOf(report), state));
});
