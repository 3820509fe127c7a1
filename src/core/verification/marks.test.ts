import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { markedProblem, merged, noMarks, withVerdict } from "./marks.ts";

const all = () => true;
const at = (seconds: number) => new Date(seconds * 1000);

describe("the marks of a folder", () => {
  it("hold the time and the problem of each backup's last verification", () => {
    const failed = withVerdict(noMarks, { name: "a", at: at(60), problem: "stored size" }, all);
    assert.equal(
      markedProblem(failed, "a"),
      "its last verification failed on 1970-01-01T00:01:00Z: stored size",
    );
    assert.equal(markedProblem(failed, "b"), undefined);
    const again = withVerdict(failed, { name: "a", at: at(120) }, all);
    assert.equal(markedProblem(again, "a"), undefined);
    assert.equal(again.verified.get("a"), 120);
  });

  it("lose the backups that no longer exist", () => {
    const before = withVerdict(noMarks, { name: "gone", at: at(1), problem: "x" }, all);
    const after = withVerdict(before, { name: "b", at: at(2) }, (name) => name !== "gone");
    assert.deepEqual([...after.verified], [["b", 2]]);
    assert.equal(after.problems.size, 0);
  });

  it("keep a problem of any length within bounds", () => {
    const marks = withVerdict(noMarks, { name: "a", at: at(1), problem: "x".repeat(10_000) }, all);
    assert.equal(marks.problems.get("a")?.length, 512);
  });

  it("are replaced by later ones of the same backup, sound or not", () => {
    const earlier = withVerdict(
      withVerdict(noMarks, { name: "a", at: at(1), problem: "x" }, all),
      { name: "b", at: at(1) },
      all,
    );
    const later = withVerdict(
      withVerdict(noMarks, { name: "a", at: at(2) }, all),
      { name: "b", at: at(2), problem: "y" },
      all,
    );
    const both = merged(earlier, later);
    assert.deepEqual([...both.problems], [["b", "y"]]);
    assert.deepEqual([...both.verified.values()], [2, 2]);
    assert.deepEqual(merged(later, earlier), both);
  });
});
