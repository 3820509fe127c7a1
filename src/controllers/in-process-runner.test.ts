import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OperatorError } from "../core/errors.ts";
import type { TurnState } from "../core/run-view.ts";
import { Admission } from "./admission.ts";
import { InProcessRunner } from "./in-process-runner.ts";
import { type Reported, type Work, runnerContract } from "./runner.contract.ts";

runnerContract(
  "the runner in this process",
  (parts) => new InProcessRunner<Work, Reported, string>({ ...parts, firstReport: ({ text }) => ({ text }) }),
);

describe("the runner in this process", () => {
  it("says from its reports where a run is with its turn", () => {
    const admission = new Admission({ limit: 2, wake() {} });
    let report: (change: { turn?: TurnState }) => void = () => assert.fail("the work has not begun");
    const runner = new InProcessRunner<null, { turn?: TurnState }, string>({
      slots: admission,
      wake() {},
      turnStateOf: ({ turn = "waits" }) => turn,
      firstReport: () => ({}),
      perform(_, change) {
        report = change;
        return new Promise(() => {});
      },
    });
    runner.reserve("n/a", { uid: "a", attempt: 1, turn: "etcd" });
    runner.start("n/a", null);
    const behind = () => admission.slotFor("n/b", "etcd").behind;
    assert.equal(behind(), "n/a");
    report({ turn: "over" });
    assert.equal(behind(), undefined);
  });

  it("keeps the turn from the start to the end of a run whose reports do not speak of it", () => {
    const admission = new Admission({ limit: 2, wake() {} });
    const runner = new InProcessRunner<null, object, string>({
      slots: admission,
      wake() {},
      firstReport: () => ({}),
      perform: () => new Promise(() => {}),
    });
    const behind = () => admission.slotFor("other/b", "etcd").behind;
    runner.reserve("n/a", { uid: "a", attempt: 1, turn: "etcd" });
    assert.equal(behind(), undefined, "a reserved run delays none of another namespace");
    runner.start("n/a", null);
    assert.equal(behind(), "n/a");
  });

  it("ends every run when it stops, and names the attempts that certainly did not succeed", async () => {
    const runner = new InProcessRunner<string, object, string>({
      slots: new Admission({ limit: 9, wake() {} }),
      wake() {},
      firstReport: () => ({}),
      perform: async (name, _, signal) => {
        if (name === "fails") throw new OperatorError("Unreachable", "no route");
        await new Promise((resolve) => {
          signal.addEventListener("abort", resolve);
        });
        if (name === "storesAfterAll") return "done";
        throw new OperatorError("Aborted", "stopped", { outcomeUnknown: name === "isUnknown" });
      },
    });
    for (const [index, name] of ["isReserved", "stops", "isUnknown", "storesAfterAll", "fails"].entries()) {
      runner.reserve(`n/${name}`, { uid: name, attempt: index + 1 });
      if (name !== "isReserved") runner.start(`n/${name}`, name);
    }
    await new Promise(setImmediate);
    assert.deepEqual(await runner.stopAll("the operator is stopping"), [
      { key: "n/isReserved", attempt: 1 },
      { key: "n/stops", attempt: 2 },
    ]);
  });
});
