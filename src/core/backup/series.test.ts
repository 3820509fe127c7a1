import assert from "node:assert/strict";
import { it } from "node:test";
import { checkSeriesName, describeSeries, hasSameNames, isSameSeries } from "./series.ts";

const ofSchedule = { name: "prod", namespace: "backups", kubernetesCluster: "k1" };

for (const [what, other, same, names] of [
  ["itself", { ...ofSchedule }, true, true],
  ["that of a schedule in another namespace", { ...ofSchedule, namespace: "other" }, false, false],
  [
    "that of the same schedule in another Kubernetes cluster",
    { ...ofSchedule, kubernetesCluster: "k2" },
    false,
    true,
  ],
  ["that of a command line with its name", { name: "prod" }, false, false],
] as const)
  it(`a series is compared with ${what}`, () => {
    assert.equal(isSameSeries(ofSchedule, other), same);
    assert.equal(hasSameNames(ofSchedule, other), names);
  });

it("a person reads the namespace of a schedule's series, and the bare name of a command line's", () => {
  assert.equal(describeSeries(ofSchedule), "backups/prod");
  assert.equal(describeSeries({ name: "nightly" }), "nightly");
});

it("the name of a command line's series is checked before anything is read", () => {
  assert.equal(checkSeriesName("nightly.prod-1"), "nightly.prod-1");
  for (const name of ["", "-a", "a/b", "A", "a".repeat(64)])
    assert.throws(() => checkSeriesName(name), /series name .* is not valid/);
});
