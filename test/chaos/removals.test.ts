import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type StoredBackup, whyNotRemove } from "./removals.ts";

const backup = (revision: number, changes: Partial<StoredBackup> = {}): StoredBackup => ({
  manifest: `${revision}.json`,
  data: `${revision}.db`,
  isComplete: true,
  series: "a",
  revision,
  owner: `uid-${revision}`,
  ...changes,
});
const series = [backup(1), backup(2), backup(3), backup(9, { series: "b" })];
const untouchable = { keys: new Set<string>(), hasSucceeded: () => true };

describe("a removal", () => {
  it("of an older backup of a series, and of data without a manifest, is right", () => {
    assert.equal(whyNotRemove("1.json", series, untouchable), undefined);
    assert.equal(whyNotRemove("0.db", series, untouchable), undefined);
  });

  it("of the newest complete backup of a series is wrong, whatever other series hold", () => {
    assert.equal(whyNotRemove("3.json", series, untouchable), "3.json is the newest complete backup of a");
    const withoutData = [...series, backup(4, { isComplete: false })];
    assert.match(whyNotRemove("3.json", withoutData, untouchable) ?? "", /newest/);
    assert.equal(whyNotRemove("3.json", [...series, backup(4)], untouchable), undefined);
  });

  it("of one of two backups at the newest revision is right", () => {
    const equal = [backup(3), backup(3, { manifest: "other.json", data: "other.db" })];
    assert.equal(whyNotRemove("3.json", equal, untouchable), undefined);
  });

  it("of a backup that no EtcdBackup has as its success is right, also of the newest", () => {
    assert.equal(whyNotRemove("3.json", series, { ...untouchable, hasSucceeded: () => false }), undefined);
  });

  it("of a backup that belongs to no schedule is wrong", () => {
    const keys = new Set(["1.json"]);
    assert.match(whyNotRemove("1.json", series, { ...untouchable, keys }) ?? "", /no schedule/);
  });

  it("of data before its manifest is wrong", () => {
    assert.match(whyNotRemove("1.db", series, untouchable) ?? "", /data of 1\.json, which is still listed/);
  });
});
