import assert from "node:assert/strict";
import type { RetentionPolicy } from "../../api/v1alpha1/retention.ts";
import type { RetainableBackup } from "./retainable.ts";

/** One case of test/testdata/retention.txt, which describes the format. */
export interface Golden {
  title: string;
  policy: RetentionPolicy;
  timeZone: string;
  /** Newest first. */
  rows: { backup: RetainableBackup; plan: string; reason: string }[];
}

/** Reads the cases of a text. `heading`: the line before each, with its title. */
export function readCases(text: string, heading: RegExp): Golden[] {
  const cases: Golden[] = [];
  for (const line of text.split("\n")) {
    const title = heading.exec(line)?.[1];
    if (title !== undefined) cases.push({ title, policy: {}, timeZone: "", rows: [] });
    const golden = cases.at(-1);
    if (golden !== undefined) readLine(line, golden);
  }
  for (const { title, timeZone, rows } of cases) assert.ok(timeZone !== "" && rows.length > 0, title);
  return cases;
}

function readLine(line: string, golden: Golden): void {
  const [, field, value = ""] = /^(policy|zone):\s*(.*)$/.exec(line) ?? [];
  if (field === "zone") golden.timeZone = value;
  if (field === "policy") golden.policy = readPolicy(value);
  if (/^\d{4}-/.test(line)) golden.rows.push(readRow(line, golden.rows.length));
}

function readPolicy(text: string): RetentionPolicy {
  const settings = text.split(", ").filter((setting) => setting !== "");
  return Object.fromEntries(
    settings.map((setting) => {
      const [field = "", value = ""] = setting.split(" ");
      return [field, /^\d+$/.test(value) ? Number(value) : value];
    }),
  );
}

function readRow(line: string, index: number): Golden["rows"][number] {
  const [time = "", revision, note = "", plan = "", reason = ""] = line.split(/ {2,}/);
  const backup: RetainableBackup = {
    // Of names alone the lower row would be the newer.
    name: `${String(index).padStart(2, "0")} ${time}`,
    time: new Date(time),
    storedAt: new Date(time),
    revision: Number(revision),
    generation: 0,
    series: { name: "prod", namespace: "ops", kubernetesCluster: "here" },
    problem: undefined,
  };
  for (const part of note.split(", ")) applyNote(part, backup);
  return { backup, plan, reason };
}

function applyNote(note: string, backup: RetainableBackup): void {
  const [kind = "", value = ""] = note.split(" ");
  if (kind === "stored") backup.storedAt = new Date(value);
  else if (kind === "generation") backup.generation = Number(value);
  else if (kind === "series") {
    const [namespace = "", name = ""] = value.split("/");
    backup.series = { ...backup.series, name, namespace };
  } else if (kind === "cluster") backup.series = { name: "prod", namespace: "ops", kubernetesCluster: value };
  else if (note === "no cluster") backup.series = { name: "prod", namespace: "ops" };
  else if (note === "no series") backup.series = undefined;
  else if (note === "stranger") backup.generation = undefined;
  else if (note === "damaged") backup.problem = "the data is gone";
  else if (note === "unreadable") {
    backup.series = undefined;
    backup.problem = "unexpected end of JSON";
  } else assert.equal(note, "-");
}
