import assert from "node:assert/strict";
import { test } from "node:test";
import { canBumpRevision, isLaterMinor, minorOf, parseEtcdVersion } from "./version.ts";

const version = (text: string) => {
  const parsed = parseEtcdVersion(text);
  assert.ok(parsed !== undefined, text);
  return parsed;
};

test("a version is parsed from the output of servers and tools, and from image tags", () => {
  const table: [string, string][] = [
    ["3.6.16", "3.6.16"],
    ["etcdutl version: 3.5.35\nAPI version: 3.5", "3.5.35"],
    ["registry.example:5000/etcd:v3.4.27", "3.4.27"],
    ["quay.io/coreos/etcd:v3.5.16-0", "3.5.16"],
    ["3.6", "3.6.0"],
  ];
  for (const [text, expected] of table) {
    const { major, minor, patch } = version(text.slice(text.lastIndexOf("/") + 1).replace(/^.*:v/, ""));
    assert.equal(`${major}.${minor}.${patch}`, expected, text);
  }
  assert.equal(parseEtcdVersion("latest"), undefined);
});

test("the minor decides which version is later, and the patch does not", () => {
  assert.equal(isLaterMinor(version("3.6.0"), version("3.5.99")), true);
  assert.equal(isLaterMinor(version("3.5.35"), version("3.5.0")), false);
  assert.equal(isLaterMinor(version("3.4.1"), version("3.6.0")), false);
  assert.equal(isLaterMinor(version("4.0.0"), version("3.6.0")), true);
  assert.equal(minorOf(version("3.5.35")), "3.5");
});

test("revisions can be bumped since 3.4.27, 3.5.10 and 3.6.0", () => {
  const yes = ["3.4.27", "3.4.42", "3.5.10", "3.5.35", "3.6.0", "3.7.1", "4.0.0"];
  const no = ["3.3.27", "3.4.26", "3.5.9"];
  assert.deepEqual(
    yes.filter((text) => !canBumpRevision(version(text))),
    [],
  );
  assert.deepEqual(
    no.filter((text) => canBumpRevision(version(text))),
    [],
  );
});
