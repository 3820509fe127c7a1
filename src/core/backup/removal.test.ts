import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OperatorError } from "../errors.ts";
import type { RetainableBackup } from "../retention/retainable.ts";
import { failureOf, newestSound } from "./removal.ts";

const locked = new OperatorError("Refused", "it is under object lock", {
  hint: "wait until the lock expires",
});
const broken = new OperatorError("Unreachable", "reset");

describe("the failure of a removal", () => {
  it("is none when every backup is gone", () => {
    assert.equal(failureOf({ removed: new Set(["a", "b"]), failed: new Map() }, 2), undefined);
  });

  it("says how many backups a lock keeps, and that another attempt would fail as well", () => {
    const error = failureOf({ removed: new Set(["b"]), failed: new Map([["a", locked]]) }, 2);
    assert.deepEqual(
      [error?.code, error?.permanent, error?.message, error?.hint],
      ["Refused", true, "1 of 2 backups remain: a: it is under object lock", "wait until the lock expires"],
    );
  });

  it("has the kind of the failure that ended the removal, and counts what was not tried", () => {
    const failed = new Map([
      ["a", locked],
      ["b", broken],
    ]);
    const error = failureOf({ removed: new Set(), failed }, 5);
    assert.deepEqual(
      [error?.code, error?.permanent, error?.message],
      ["Unreachable", false, "5 of 5 backups remain: b: reset"],
    );
  });
});

describe("the newest sound backup", () => {
  const backup = (name: string, over: Partial<RetainableBackup>): RetainableBackup => ({
    name,
    time: new Date("2026-08-20T12:00:00Z"),
    storedAt: new Date("2026-08-20T12:00:01Z"),
    revision: 1,
    generation: 0,
    series: undefined,
    problem: undefined,
    ...over,
  });

  it("is that of the highest revision of the last etcd cluster, without a problem", () => {
    const backups = [
      backup("before the restore", { revision: 99 }),
      backup("newest", { generation: 1, revision: 5 }),
      backup("damaged", { generation: 1, revision: 7, problem: "the data is gone" }),
      backup("of a stranger", { generation: undefined, revision: 100 }),
      backup("older, named by a clock ahead", { generation: 1, revision: 4, time: new Date("2030-01-01") }),
    ];
    assert.equal(newestSound(backups)?.name, "newest");
  });

  it("is none where every backup has a problem", () => {
    assert.equal(newestSound([backup("a", { problem: "gone" })]), undefined);
  });
});
