import assert from "node:assert/strict";
import { it } from "node:test";
import { attemptedElsewhere, storedElsewhere } from "./stored-location.ts";

const artifact = {
  name: "n",
  url: "s3://bucket/deep/prod/20260820T120000Z-0f1e2d3c4b5ax1.db.zst",
  manifestURL: "s3://bucket/deep/prod/n.json",
  storedBytes: 1,
  compression: "Zstd",
  crc32c: "00000001",
  proof: "ReadBack",
} as const;

for (const [what, storeURL, url, location, expected] of [
  ["equal", "s3://bucket/deep", "s3://bucket/deep", "s3://bucket/deep", undefined],
  ["another bucket", "s3://bucket/deep", "s3://other/deep", "s3://other/deep", "s3://bucket/deep"],
  [
    "another endpoint",
    "s3://bucket/deep?endpoint=http://a",
    "s3://bucket/deep",
    "s3://bucket/deep?endpoint=http://b",
    "s3://bucket/deep?endpoint=http://a",
  ],
  [
    "equal, of an earlier release",
    undefined,
    "s3://bucket/deep",
    "s3://bucket/deep?endpoint=http://a",
    undefined,
  ],
  ["another prefix, of an earlier release", undefined, "s3://bucket", "s3://bucket", "s3://bucket/deep"],
] as const)
  it(`compares where a backup was stored with where its store is: ${what}`, () => {
    const recorded = storeURL === undefined ? artifact : { ...artifact, storeURL };
    assert.equal(storedElsewhere(recorded, { url, location }), expected);
  });

it("compares the root directory as any other", () => {
  const inRoot = { ...artifact, url: "file:////prod/x.db.zst" };
  assert.equal(storedElsewhere(inRoot, { url: "file:///", location: "file:///" }), undefined);
});

for (const [what, storeURL, expected] of [
  ["equal", "s3://bucket?endpoint=http://a", undefined],
  ["another endpoint", "s3://bucket?endpoint=http://b", "s3://bucket?endpoint=http://b"],
  ["unknown, of an earlier release", undefined, undefined],
] as const)
  it(`compares where an attempt wrote with where its store is: ${what}`, () => {
    const status = storeURL === undefined ? {} : { storeURL };
    assert.equal(attemptedElsewhere(status, { location: "s3://bucket?endpoint=http://a" }), expected);
  });
