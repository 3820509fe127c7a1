import assert from "node:assert/strict";
import {
  checkClusterName,
  dataObject,
  formatBackupName,
  manifestObject,
  objectKind,
  parseBackupName,
  parseDataObject,
  parseManifestObject,
  parseRun,
} from "../../src/core/backup/name.ts";
import { OperatorError } from "../../src/core/errors.ts";
import { mutateText } from "./json-mutations.ts";
import type { Random } from "../harness/random.ts";
import type { Target } from "./target.ts";

const latest = Date.UTC(9999, 11, 31, 23, 59, 59);
const earliest = Date.UTC(2000, 0, 1);

/** Replaces one digit of a text, so that a time may become invalid. */
function replaceDigit(text: string, random: Random): string {
  const at = text.search(/\d/) + random.below(36);
  const digit = String(random.below(10));
  return /\d/.test(text[at] ?? "") ? text.slice(0, at) + digit + text.slice(at + 1) : text;
}

/** A parsed name formats to the same text. Any other text is no name and causes no exception. */
export const names: Target = {
  name: "names",
  testInputs: 20_000,
  isText: true,
  generate(random) {
    const time = new Date(1000 * Math.floor((earliest + random.below(latest - earliest)) / 1000));
    const runId = Array.from({ length: 4 + random.below(37) }, () =>
      random.pick("abcxyz0189".split("")),
    ).join("");
    const revision = random.pick([0, 1, 42, random.below(2 ** 32), 2 ** 53 - 1]);
    const cluster = random.pick(["prod", "a", "a.b-c", "x".repeat(63)]);
    const name = { time, revision, runId };
    let text = random.pick([
      formatBackupName(name),
      manifestObject(cluster, name),
      dataObject(cluster, time, runId, random.pick(["Zstd", "None"])),
      cluster,
      // 24:00 is a valid time in ISO 8601 and not in names.
      "20260820T240000Z-r00000000000000000042-abcd",
    ]);
    for (let left = random.below(3); left > 0; left--) text = replaceDigit(text, random);
    for (let left = random.below(4); left > 0; left--) text = mutateText(text, random);
    return Buffer.from(text);
  },
  check(input) {
    const text = Buffer.from(input).toString();
    const name = parseBackupName(text);
    if (name !== undefined) {
      assert.equal(formatBackupName(name), text);
      assert.deepEqual(parseBackupName(formatBackupName(name)), name);
    }
    const manifest = parseManifestObject(text);
    if (manifest !== undefined) {
      assert.equal(manifestObject(manifest.clusterName, manifest.backup), text);
      assert.equal(formatBackupName(manifest.backup), manifest.name);
    }
    const data = parseDataObject(text);
    const kind = objectKind(text);
    assert.equal(kind === "manifest", manifest !== undefined);
    assert.equal(kind === "data", data !== undefined);
    if (data !== undefined) {
      assert.deepEqual(parseRun(text), data);
      const { clusterName, time, runId } = data;
      assert.ok([".db", ".db.zst"].some((end) => text === `${clusterName}/${time}-${runId}${end}`));
      const date = new Date(time.replace(/^(....)(..)(.....)(..)(..Z)$/, "$1-$2-$3:$4:$5"));
      assert.ok(!Number.isNaN(date.getTime()), `${time} is no time`);
      assert.ok(text.startsWith(dataObject(clusterName, date, runId, "None")), `${time} is no date`);
    }
    try {
      assert.equal(checkClusterName(text), text);
      assert.ok(!text.includes("/") && !text.includes(".."));
    } catch (error) {
      assert.ok(error instanceof OperatorError && error.code === "Usage", String(error));
    }
  },
};
