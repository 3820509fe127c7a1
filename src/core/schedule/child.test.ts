import assert from "node:assert/strict";
import { it } from "node:test";
import { childName } from "./child.ts";

it("an EtcdBackup is named after its time, so that each process gives it the same name", () => {
  const time = new Date("2026-08-20T12:00:00Z");
  assert.equal(childName("prod", { is: "time", time }), "prod-20260820t120000z");
  assert.equal(childName("prod", { is: "creation", time }), "prod-20260820t120000z");
});

it("an EtcdBackup of a trigger has a valid name, whatever the trigger is", () => {
  const names = ["a", "B/ü", "x".repeat(5_000)].map((token) => childName("prod", { is: "trigger", token }));
  for (const name of names) assert.match(name, /^prod-now-[0-9a-f]{10}$/);
  assert.equal(new Set(names).size, 3);
});
