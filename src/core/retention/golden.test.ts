import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { type Golden, readCases } from "./golden.fixture.ts";
import { planRetention } from "./plan.ts";

const file = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");

function checkPlan({ policy, timeZone, rows }: Golden): void {
  const backups = rows.map(({ backup }) => backup);
  const { kept, removed } = planRetention(backups.toReversed(), {
    policy,
    timeZone,
    series: { name: "prod", namespace: "ops", kubernetesCluster: "here" },
  });
  const said = new Map([
    ...kept.map(({ backup, reasons }) => [backup, `keep: ${reasons.join(", ")}`] as const),
    ...removed.map(({ backup, reason }) => [backup, `remove: ${reason}`] as const),
  ]);
  assert.deepEqual(
    rows.map(({ backup }) => `${backup.name} ${said.get(backup)}`),
    rows.map(({ backup, plan, reason }) => `${backup.name} ${plan}: ${reason}`),
  );
  const inOrder = backups.filter((backup) => kept.some((entry) => entry.backup === backup));
  assert.deepEqual(
    kept.map(({ backup }) => backup.name),
    inOrder.map(({ name }) => name),
    "the plan lists the newest first",
  );
}

describe("a plan of retention", () => {
  const cases = readCases(file("test/testdata/retention.txt"), /^== (.+)$/);
  assert.ok(cases.length >= 20, `${cases.length}`);
  for (const golden of cases) it(golden.title, () => checkPlan(golden));
});

describe("an example of docs/retention.md", () => {
  const examples = readCases(file("docs/retention.md"), /^### (.+)$/);
  assert.ok(examples.length >= 2, `${examples.length}`);
  for (const example of examples) it(example.title, () => checkPlan(example));
});
