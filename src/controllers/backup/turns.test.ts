import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { test } from "node:test";
import { type Turn, type TurnOptions, takeTurn } from "../../backup/turn.ts";
import { OperatorError } from "../../core/errors.ts";
import { memberFacts } from "../../core/etcd/member.fixture.ts";
import { type MemberFacts, defaultSelection } from "../../core/etcd/member-choice.ts";
import { KeyedMutex } from "../keyed-mutex.ts";

/** An attempt at a cluster whose only members are the given ones. */
function attemptAt(
  turns: KeyedMutex,
  endpoints: string[],
  over: Partial<TurnOptions> & { members?: () => MemberFacts[] } = {},
) {
  const { members = () => endpoints.map((endpoint) => memberFacts("m0", { endpoint, id: "8e9e" })) } = over;
  let observed = 0;
  let turn: Turn | undefined;
  const taken = takeTurn({
    cluster: {
      endpoints,
      async observe() {
        observed += 1;
        return { clusterId: "cdf8", members: members() };
      },
    },
    selection: defaultSelection,
    turns,
    signal: new AbortController().signal,
    ...over,
  }).then((got) => (turn = got));
  return { taken, observed: () => observed, turn: () => turn };
}

test("two clusters with equal IDs do not wait for each other", async () => {
  const turns = new KeyedMutex();
  await attemptAt(turns, ["http://etcd.a.svc:2379"]).taken;
  const other = await attemptAt(turns, ["http://etcd.b.svc:2379"]).taken;
  assert.equal(other.choice.chosen.endpoint, "http://etcd.b.svc:2379");
});

test("a second attempt at the same endpoints, in any order, observes only in its turn", async () => {
  const turns = new KeyedMutex();
  const first = await attemptAt(turns, ["http://a:2379", "http://b:2379"]).taken;
  const second = attemptAt(turns, ["http://b:2379", "http://a:2379"]);
  await setImmediate();
  assert.equal(second.observed(), 0);
  first.release();
  await second.taken;
  assert.equal(second.observed(), 1);
});

test("an attempt that waited for a member behind other endpoints observes and chooses again", async () => {
  const turns = new KeyedMutex();
  const shared = () => [memberFacts("m1", { endpoint: "http://m1:2379" })];
  const first = await attemptAt(turns, ["http://a:2379"], { members: shared }).taken;
  const second = attemptAt(turns, ["http://b:2379"], { members: shared });
  await setImmediate();
  assert.deepEqual([second.observed(), second.turn()], [1, undefined]);
  first.release();
  await second.taken;
  assert.equal(second.observed(), 2);
});

test("the member that is chosen after the wait may be another one, and only it is then held", async () => {
  const turns = new KeyedMutex();
  const [m1, m2] = ["m1", "m2"].map((name) => memberFacts(name, { endpoint: `http://${name}:2379` }));
  assert.ok(m1 && m2);
  const first = await attemptAt(turns, ["http://a:2379"], { members: () => [m1] }).taken;
  let members = [m1];
  const second = attemptAt(turns, ["http://b:2379"], { members: () => members });
  await setImmediate();
  members = [{ ...m1, leader: "0" }, m2];
  first.release();
  assert.equal((await second.taken).choice.chosen.name, "m2");
  await attemptAt(turns, ["http://c:2379"], { members: () => [m1] }).taken;
  const third = attemptAt(turns, ["http://d:2379"], { members: () => [m2] });
  await setImmediate();
  assert.equal(third.turn(), undefined);
});

test("an attempt that finds no member or is stopped keeps nothing", async () => {
  const turns = new KeyedMutex();
  const endpoints = ["http://a:2379"];
  const failed = attemptAt(turns, endpoints, { members: () => [] });
  await assert.rejects(failed.taken, { code: "NoUsableMember" });
  const first = await attemptAt(turns, endpoints).taken;
  const stopped = attemptAt(turns, endpoints, {
    signal: AbortSignal.abort(new OperatorError("Aborted", "stopped")),
  });
  await assert.rejects(stopped.taken, { code: "Aborted" });
  const next = attemptAt(turns, endpoints);
  await setImmediate();
  assert.equal(next.turn(), undefined);
  first[Symbol.dispose]();
  await next.taken;
});
