import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { duration } from "../human.ts";
import {
  type Claim,
  type Entrant,
  type Heartbeat,
  type ObservedFolder,
  type WriterIdentity,
  admit,
  isCopy,
  whyNotDelete,
  whyNotDeleteWithoutHold,
} from "./claim.ts";

const now = new Date("2026-11-30T12:00:00Z");
const minute = 60_000;
const writer: WriterIdentity = { id: "w1", who: "EtcdBackupStore ns/main", renewal: 7, nonce: "77777777" };
const other = { id: "w2", who: "EtcdBackupStore ns/other" };

const claim = (over: Partial<Claim> = {}): Claim => ({
  number: 4,
  lineage: [
    { id: "a", number: 1 },
    { id: "b", number: 3, restoredFrom: "backup-of-a" },
  ],
  writer: { id: writer.id, who: writer.who },
  since: "2026-11-01T00:00:00Z",
  reason: "r",
  ...over,
});

const beat = (id: string, silentMs: number, over: Partial<Heartbeat> = {}): Heartbeat => ({
  id,
  renewal: 7,
  nonce: "77777777",
  silentMs,
  holdMs: 30 * minute,
  ...over,
});

const folder = (over: Partial<ObservedFolder> = {}): ObservedFolder => ({
  claim: claim(),
  heartbeats: [beat(writer.id, 0)],
  ...over,
});

const entrant = (over: Partial<Entrant> = {}): Entrant => ({
  clusterName: "prod",
  clusterId: "b",
  writer,
  now,
  ...over,
});

const commandLine = { writer: undefined };
const successor = { id: "c", of: "b", backup: "backup-of-b" };

function refusal(
  observed: ObservedFolder,
  who: Entrant,
): { permanent: boolean; message: string; hint: string } {
  const admission = admit(observed, who);
  assert.equal(admission.is, "refused");
  const { error } = admission as { error: { permanent: boolean; message: string; hint?: string } };
  return { permanent: error.permanent, message: error.message, hint: error.hint ?? "" };
}

function claimed(observed: ObservedFolder, who: Entrant): Claim {
  const admission = admit(observed, who);
  assert.equal(admission.is, "claim", JSON.stringify(admission));
  return (admission as { next: Claim }).next;
}

describe("the folder of a cluster", () => {
  it("is entered by its holder with the same etcd cluster, and by a command line, without another claim", () => {
    assert.deepEqual(admit(folder(), entrant()), { is: "entered" });
    assert.deepEqual(admit(folder({ heartbeats: [] }), entrant(commandLine)), { is: "entered" });
  });

  it("without a claim belongs to the first etcd cluster that is backed up there", () => {
    const next = claimed(folder({ claim: undefined }), entrant());
    assert.equal(next.number, 1);
    assert.deepEqual(next.lineage, [{ id: "b", number: 0 }]);
    assert.deepEqual(next.writer, { id: "w1", who: writer.who });
    const byHand = claimed(folder({ claim: undefined }), entrant(commandLine));
    assert.equal(byHand.writer, undefined);
  });

  it("without a claim that holds backups belongs to their etcd cluster", () => {
    const old = folder({ claim: undefined, unclaimedBackupsOf: "b" });
    assert.deepEqual(claimed(old, entrant()).lineage, [{ id: "b", number: 0 }]);
    const stranger = refusal(old, entrant({ clusterId: "e" }));
    assert.equal(stranger.permanent, true);
    assert.match(stranger.message, /folder prod belongs to etcd cluster b, and this is cluster e/);
    const restored = { ...old, succession: { id: "e", of: "b", backup: "x" } };
    assert.deepEqual(
      claimed(restored, entrant({ clusterId: "e" })).lineage.map(({ id }) => id),
      ["b", "e"],
    );
  });

  for (const [who, by] of [
    ["an operator", entrant({ clusterId: "e" })],
    ["a command line", entrant({ clusterId: "e", ...commandLine })],
    ["the operator that holds it", entrant({ clusterId: "e" })],
  ] as const)
    it(`is refused for good to a strange etcd cluster of ${who}, with what settles it`, () => {
      const { permanent, message, hint } = refusal(folder(), by);
      assert.equal(permanent, true);
      assert.match(message, /belongs to etcd cluster b, and this is cluster e/);
      assert.match(hint, /etcd-backup claim take --cluster-name prod --etcd-cluster-id e/);
    });

  it("is refused to the etcd cluster that a restored one has replaced", () => {
    const { permanent, message } = refusal(folder(), entrant({ clusterId: "a" }));
    assert.equal(permanent, true);
    assert.match(message, /cluster b, which has replaced this one \(a\), restored from backup-of-a/);
    const taken = claim({
      lineage: [
        { id: "a", number: 1 },
        { id: "b", number: 2 },
      ],
    });
    const byHand = refusal(folder({ claim: taken }), entrant({ clusterId: "a" }));
    assert.match(byHand.message, /has replaced this one \(a\), as a person decided/);
  });

  it("goes on with a restored cluster, at once where the same writer backs it up", () => {
    const next = claimed(folder({ succession: successor }), entrant({ clusterId: "c" }));
    assert.equal(next.number, 5);
    assert.deepEqual(next.lineage.at(-1), {
      id: "c",
      number: 5,
      since: now.toISOString(),
      restoredFrom: "backup-of-b",
    });
    assert.deepEqual(
      next.lineage.map(({ id }) => id),
      ["a", "b", "c"],
    );
    const ofAncestor = { ...successor, of: "a" };
    assert.equal(
      claimed(folder({ succession: ofAncestor }), entrant({ clusterId: "c" })).lineage.at(-1)?.id,
      "c",
    );
  });

  it("does not go on with a restored copy while the original is backed up", () => {
    const observed = folder({ succession: successor, isPredecessorInUse: true });
    const { permanent, message } = refusal(observed, entrant({ clusterId: "c" }));
    assert.equal(permanent, true);
    assert.match(message, /cluster b, which is still backed up: this cluster \(c\) is a restored copy/);
  });

  it("does not go on with a cluster that was restored from a backup of another folder", () => {
    const observed = folder({ succession: { ...successor, of: "e" } });
    assert.match(refusal(observed, entrant({ clusterId: "c" })).message, /and this is cluster c/);
  });
});

describe("the writer of a folder", () => {
  const heldByOther = claim({ writer: other });

  it("keeps it while it renews: another one waits, and is told who holds it", () => {
    const observed = folder({ claim: heldByOther, heartbeats: [beat("w2", 29 * minute)] });
    const { permanent, message } = refusal(observed, entrant());
    assert.equal(permanent, false);
    assert.match(message, /folder prod is held by EtcdBackupStore ns\/other \(writer w2\), which is alive/);
    assert.match(message, new RegExp(`silent for ${duration(30 * minute)}`));
  });

  it("loses it to another one that backs up the same cluster when it has been silent as long as it holds", () => {
    for (const heartbeats of [[beat("w2", 30 * minute)], []]) {
      const next = claimed(folder({ claim: heldByOther, heartbeats }), entrant());
      assert.deepEqual(next.writer, { id: "w1", who: writer.who, bySilence: true });
      assert.deepEqual(next.lineage, heldByOther.lineage);
    }
  });

  it("loses it to a restored cluster only when it is silent, also where a command line saves", () => {
    const succession = successor;
    const alive = folder({ claim: heldByOther, succession, heartbeats: [beat("w2", minute)] });
    const silent = folder({ claim: heldByOther, succession, heartbeats: [beat("w2", 31 * minute)] });
    for (const by of [entrant({ clusterId: "c" }), entrant({ clusterId: "c", ...commandLine })]) {
      assert.equal(refusal(alive, by).permanent, false);
      assert.equal(claimed(silent, by).lineage.at(-1)?.id, "c");
    }
  });

  it("does not keep a command line from adding backups of the same cluster", () => {
    const observed = folder({ claim: heldByOther, heartbeats: [beat("w2", 0)] });
    assert.deepEqual(admit(observed, entrant(commandLine)), { is: "entered" });
  });

  it("takes a folder that nobody holds", () => {
    const { writer: _, ...free } = claim();
    assert.equal(claimed(folder({ claim: free }), entrant()).writer?.id, "w1");
  });

  it("is a copy when somebody else has renewed it further, and of two equal renewals the greater nonce is", () => {
    const table: [string, Heartbeat[], boolean][] = [
      ["alone", [beat("w1", 0)], false],
      ["not yet in the store", [], false],
      ["an older renewal", [beat("w1", 0, { renewal: 6, nonce: "00000000" })], false],
      ["a newer renewal", [beat("w1", 0), beat("w1", 0, { renewal: 8 })], true],
      ["the same renewal with a smaller nonce", [beat("w1", 0, { nonce: "66666666" })], true],
      ["the same renewal with a greater nonce", [beat("w1", 0, { nonce: "88888888" })], false],
      ["a newer renewal of another writer", [beat("w2", 0, { renewal: 99 })], false],
    ];
    for (const [what, heartbeats, is] of table) assert.equal(isCopy(writer, heartbeats), is, what);
  });

  it("that is a copy neither writes nor deletes, also where the claim names it", () => {
    const observed = folder({ heartbeats: [beat("w1", 0, { renewal: 8 })] });
    const { permanent, message } = refusal(observed, entrant());
    assert.equal(permanent, false);
    assert.match(message, /another operator renews writer w1 .* this Kubernetes cluster is a copy/);
    const error = whyNotDelete(observed, { clusterName: "prod", writer });
    assert.match(error?.message ?? "", /is a copy/);
  });

  it("deletes only where the claim names it, however silent the holder is", () => {
    const at = { clusterName: "prod", writer };
    assert.equal(whyNotDelete(folder(), at), undefined);
    assert.equal(whyNotDelete(folder({ claim: undefined }), at), undefined);
    const silent = folder({ claim: heldByOther, heartbeats: [beat("w2", 1e12)] });
    const error = whyNotDelete(silent, at);
    assert.equal(error?.permanent, false);
    assert.match(
      error?.message ?? "",
      /held by EtcdBackupStore ns\/other \(writer w2\), and only its holder deletes/,
    );
    assert.match(error?.hint ?? "", /claim take --cluster-name prod --etcd-cluster-id b --writer w1/);
    const { writer: _, ...free } = claim();
    assert.match(whyNotDelete(folder({ claim: free }), at)?.message ?? "", /held by nobody/);
  });
});

describe("a command line that deletes", () => {
  const { writer: _, ...free } = claim();
  const cases: [string, Claim | undefined, boolean][] = [
    ["in a folder without a claim", undefined, true],
    ["in a folder that nobody holds", free, true],
    ["in a folder that an operator holds", claim(), false],
    ["in a folder that an operator took by silence", claim({ writer: { ...other, bySilence: true } }), false],
  ];
  for (const [where, of, may] of cases)
    it(`${may ? "may do so" : "is refused"} ${where}`, () => {
      const error = whyNotDeleteWithoutHold(of, "prod");
      assert.equal(error === undefined, may);
      if (error === undefined) return;
      assert.deepEqual([error.code, error.permanent], ["FolderClaimed", true]);
      assert.ok(error.message.includes(`held by ${of?.writer?.who} (writer ${of?.writer?.id})`));
    });

  it("gets the hint where to delete, and the command that gives the hold up without naming a new holder", () => {
    const hint = whyNotDeleteWithoutHold(claim(), "prod")?.hint ?? "";
    assert.match(hint, /EtcdBackupSchedule .*kubectl delete etcdbackup/);
    assert.match(hint, /claim take --cluster-name prod --etcd-cluster-id b$/);
  });
});
