import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { describe, it } from "node:test";
import { OperatorError } from "../core/errors.ts";
import type { Slots } from "./admission.ts";
import type { Perform, Runner } from "./runner.ts";

export interface Work {
  text: string;
}

export interface Reported {
  text: string;
  bytes?: number;
}

type ContractRunner = Runner<Work, Reported, string>;

/** What the suite gives to a runner. The report of a run that begins has the text of its work. */
export interface RunnerParts {
  slots: Slots;
  wake: (key: string) => void;
  perform: Perform<Work, Reported, string>;
}

/** The work of one run, which the suite ends. `cleanUp`: after this, cancelled work has cleaned up. */
interface Performed {
  work: Work;
  report: (change: Partial<Reported>) => void;
  succeed: (result: string) => void;
  fail: (error: Error) => void;
  isCancelled: () => boolean;
  cleanUp: () => void;
}

const key = "ns/a";
const uid = "uid-1";
const reservation = { uid, attempt: 2 };

/** Turns of the event loop until the condition is true. A runner may need several to pass on what happened. */
async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; !(await isTrue()); turn++) {
    assert.ok(turn < 1_000, "it does not happen");
    await setImmediate();
  }
}

/** A runner with a number of slots, whose work lasts until the test ends it. */
function begun(open: (parts: RunnerParts) => ContractRunner, limit = 3) {
  const held = new Set<string>();
  const woken: string[] = [];
  const performed: Performed[] = [];
  const runner = open({
    slots: {
      take: (taker) => held.size < limit && !held.has(taker) && held.add(taker) !== undefined,
      setTurn() {},
      release: (holder) => void held.delete(holder),
    },
    wake: (woke) => void woken.push(woke),
    async perform(work, report, signal) {
      const end = Promise.withResolvers<string>();
      const cleaned = Promise.withResolvers<void>();
      performed.push({
        work,
        report,
        succeed: end.resolve,
        fail: end.reject,
        isCancelled: () => signal.aborted,
        cleanUp: () => cleaned.resolve(),
      });
      signal.addEventListener("abort", () => void cleaned.promise.then(() => end.reject(signal.reason)));
      return end.promise;
    },
  });
  const view = async () => runner.view(key, uid);
  /** The work under way. */
  async function only(): Promise<Performed> {
    await until(() => performed.length > 0);
    assert.equal(performed.length, 1, "the work began once");
    return performed[0] ?? assert.fail();
  }
  const ended = () => until(async () => (await view()).state !== "running");
  return {
    runner,
    held,
    woken,
    performed,
    view,
    only,
    ended,
    async start(text = "copy") {
      assert.ok(runner.reserve(key, reservation));
      await runner.start(key, { text });
      return only();
    },
  };
}

/** The contract of runner.ts, as a suite that every runner has to pass. */
export function runnerContract(kind: string, open: (parts: RunnerParts) => ContractRunner): void {
  describe(`${kind} keeps the contract of a runner`, () => {
    reservationContract(open);
    startContract(open);
    endContract(open);
    cancelContract(open);
  });
}

type Open = (parts: RunnerParts) => ContractRunner;

function reservationContract(open: Open): void {
  it("a key without a run has none, and nothing to cancel or to forget", async () => {
    const { runner, view } = begun(open);
    assert.deepEqual(await view(), { state: "none" });
    await runner.forget(key);
    await runner.cancel(key, "not wanted");
    await runner.cancelOthers(key, uid);
    assert.deepEqual(await view(), { state: "none" });
  });

  it("a reservation shows its attempt and begins no work", async () => {
    const { runner, view, performed } = begun(open);
    assert.equal(runner.reserve(key, reservation), true);
    await setImmediate();
    assert.deepEqual(await view(), { state: "reserved", attempt: 2 });
    assert.deepEqual(performed, []);
  });

  it("a reserved run survives a status write whose answer is lost: the next pass finds it and begins it once", async () => {
    const { runner, view, only, held } = begun(open);
    runner.reserve(key, reservation);
    assert.deepEqual(await view(), { state: "reserved", attempt: 2 });
    assert.equal(runner.reserve(key, reservation), true);
    assert.deepEqual([...held], [key]);
    await runner.start(key, { text: "copy" });
    await only();
  });

  it("a run is reserved only with a slot, and holds it until it ends or its reservation is given up", async () => {
    const { runner, start, held, ended } = begun(open, 1);
    const other = () => runner.reserve("ns/b", { uid: "uid-b", attempt: 1 });
    const { succeed } = await start();
    assert.equal(other(), false);
    assert.deepEqual(await runner.view("ns/b", "uid-b"), { state: "none" });
    succeed("done");
    await ended();
    assert.equal(other(), true, "an ended run that is not forgotten yet holds no slot");
    await runner.forget("ns/b");
    assert.deepEqual([...held], []);
    assert.equal(other(), true);
    await runner.cancel("ns/b", "not wanted");
    assert.deepEqual([...held], []);
  });
}

function startContract(open: Open): void {
  it("a key has one run at most: no other is reserved or started while it runs, or before its end is forgotten", async () => {
    const { runner, start, only, view, ended } = begun(open);
    const { succeed } = await start();
    assert.equal(runner.reserve(key, reservation), false);
    assert.equal(runner.reserve(key, { uid: "uid-2", attempt: 1 }), false);
    await assert.rejects(async () => runner.start(key, { text: "again" }), { code: "Internal" });
    succeed("done");
    await ended();
    assert.equal(runner.reserve(key, reservation), false);
    await assert.rejects(async () => runner.start(key, { text: "again" }), { code: "Internal" });
    await only();
    assert.equal((await view()).state, "succeeded");
  });

  it("work that was not reserved does not start", async () => {
    const { runner, performed } = begun(open);
    await assert.rejects(async () => runner.start(key, { text: "copy" }), { code: "Internal" });
    await setImmediate();
    assert.deepEqual(performed, []);
  });

  it("a started run is seen at once as running, and its work gets the data it was started with", async () => {
    const { runner, view, only } = begun(open);
    runner.reserve(key, reservation);
    await runner.start(key, { text: "copy" });
    assert.deepEqual(await view(), { state: "running", report: { text: "copy" } });
    assert.deepEqual((await only()).work, { text: "copy" });
  });

  it("runs of several keys are under way together, and each has its own end", async () => {
    const { runner, start, performed, view } = begun(open);
    await start();
    runner.reserve("ns/b", { uid: "uid-b", attempt: 1 });
    await runner.start("ns/b", { text: "b" });
    await until(() => performed.length === 2);
    performed.find(({ work }) => work.text === "b")?.fail(new OperatorError("Unreachable", "no route"));
    await until(async () => (await runner.view("ns/b", "uid-b")).state === "failed");
    assert.equal((await view()).state, "running");
  });

  it("the run of another UID under the key is none, whatever its state", async () => {
    const { runner, start, ended } = begun(open);
    const others = () => runner.view(key, "uid-2");
    runner.reserve(key, reservation);
    assert.deepEqual(await others(), { state: "none" });
    assert.equal(runner.reserve(key, { uid: "uid-2", attempt: 2 }), false);
    const { succeed } = await start();
    assert.deepEqual(await others(), { state: "none" });
    succeed("done");
    await ended();
    assert.deepEqual(await others(), { state: "none" });
  });

  it("a run that is running is not forgotten", async () => {
    const { runner, start, view, held } = begun(open);
    await start();
    await runner.forget(key);
    assert.equal((await view()).state, "running");
    assert.deepEqual([...held], [key]);
  });
}

function endContract(open: Open): void {
  it("a report changes the fields that it names, and wakes the key", async () => {
    const { start, view, woken } = begun(open);
    const { report } = await start();
    woken.length = 0;
    report({ bytes: 7 });
    await until(() => woken.length > 0);
    assert.deepEqual(await view(), { state: "running", report: { text: "copy", bytes: 7 } });
    assert.deepEqual([...new Set(woken)], [key]);
  });

  it("a result is shown with the last report until it is forgotten, and its end wakes the key", async () => {
    const { runner, start, view, woken, ended } = begun(open);
    const { report, succeed } = await start();
    report({ bytes: 7 });
    woken.length = 0;
    succeed("done");
    await ended();
    assert.deepEqual([...new Set(woken)], [key]);
    const end = { state: "succeeded", report: { text: "copy", bytes: 7 }, result: "done" };
    assert.deepEqual(await view(), end);
    report({ bytes: 8 });
    await setImmediate();
    assert.deepEqual(await view(), end, "an ended run reports nothing more");
    await runner.forget(key);
    assert.deepEqual(await view(), { state: "none" });
    assert.equal(runner.reserve(key, reservation), true);
  });

  it("an error is shown as it was thrown until it is forgotten, and its end wakes the key", async () => {
    const { runner, start, view, woken, ended } = begun(open);
    const { fail } = await start();
    woken.length = 0;
    fail(new OperatorError("StoreFailed", "503 SlowDown", { hint: "wait", outcomeUnknown: true }));
    await ended();
    assert.deepEqual([...new Set(woken)], [key]);
    const end = await view();
    assert.ok(end.state === "failed");
    const { code, message, hint, permanent, outcomeUnknown } = end.error;
    const isPermanent = new OperatorError("StoreFailed", "").permanent;
    assert.deepEqual(
      { code, message, hint, permanent, outcomeUnknown },
      {
        code: "StoreFailed",
        message: "503 SlowDown",
        hint: "wait",
        permanent: isPermanent,
        outcomeUnknown: true,
      },
    );
    await runner.forget(key);
    assert.deepEqual(await view(), { state: "none" });
  });
}

function cancelContract(open: Open): void {
  it("cancel resolves only when the work has cleaned up, and then the run is gone with its slot", async () => {
    const { runner, start, view, held } = begun(open);
    const { isCancelled, cleanUp } = await start();
    let isOver = false;
    const cancelled = runner.cancel(key, "not wanted").then(() => (isOver = true));
    for (let turn = 0; turn < 20; turn++) await setImmediate();
    assert.deepEqual([isCancelled(), isOver], [true, false]);
    assert.deepEqual([...held], [key], "the work still uses what the slot bounds");
    cleanUp();
    await cancelled;
    assert.deepEqual(await view(), { state: "none" });
    assert.deepEqual([...held], []);
    assert.equal(runner.reserve(key, reservation), true);
  });

  it("a reserved run that is cancelled never begins", async () => {
    const { runner, view, performed, held } = begun(open);
    runner.reserve(key, reservation);
    await runner.cancel(key, "not wanted");
    assert.deepEqual(await view(), { state: "none" });
    await assert.rejects(async () => runner.start(key, { text: "copy" }), { code: "Internal" });
    assert.deepEqual([performed, [...held]], [[], []]);
  });

  it("cancel of others leaves the run of this UID alone, and cleans up that of an earlier one", async () => {
    const { runner, start, view } = begun(open);
    const { isCancelled, cleanUp } = await start();
    await runner.cancelOthers(key, uid);
    assert.equal((await view()).state, "running");
    cleanUp();
    await runner.cancelOthers(key, "uid-2");
    assert.equal(isCancelled(), true);
    assert.deepEqual(await view(), { state: "none" });
    assert.equal(runner.reserve(key, { uid: "uid-2", attempt: 1 }), true);
  });
}
