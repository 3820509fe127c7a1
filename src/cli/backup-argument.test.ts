import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OperatorError } from "../core/errors.ts";
import { storeKinds } from "../store/kinds.ts";
import { parseBackupArgument } from "./backup-argument.ts";

const name = "20260820T120000Z-r00000000000000000004-297ac9c21054";
const directory = { kind: "file", path: "/backups" } as const;
const bucket = { kind: "s3", bucket: "backups", prefix: "clusters" } as const;
const inEurope = { ...bucket, region: "eu" } as const;

const settingsCases: Record<string, [string, string | undefined, object]> = {
  "its own": [`s3://backups/clusters/lab/${name}?region=eu`, "s3://backups?region=us", inEurope],
  "those of --store for the same bucket": [
    `s3://backups/clusters/lab/${name}`,
    "s3://backups/other?region=eu",
    inEurope,
  ],
  "none of --store for another bucket": [
    `s3://backups/clusters/lab/${name}`,
    "s3://other/clusters?region=eu",
    bucket,
  ],
  "none where --store has none": [`s3://backups/clusters/lab/${name}`, "s3://backups", bucket],
  "none without --store": [`s3://backups/clusters/lab/${name}`, undefined, bucket],
};

function refusal(text: string, flags = {}): OperatorError {
  try {
    parseBackupArgument(text, flags);
  } catch (error) {
    assert.ok(error instanceof OperatorError && error.code === "Usage", String(error));
    return error;
  }
  return assert.fail("it was taken");
}

describe("BACKUP", () => {
  it("is a name or `latest` in --store, of the cluster of --cluster-name", () => {
    const flags = { store: "file:///backups" };
    for (const text of [name, "latest"]) {
      assert.deepEqual(parseBackupArgument(text, flags), { kind: "stored", store: directory, name: text });
      assert.deepEqual(parseBackupArgument(text, { ...flags, clusterName: "lab" }), {
        kind: "stored",
        store: directory,
        name: text,
        clusterName: "lab",
      });
    }
  });

  it("is a file's path where it is neither a name nor a URL", () => {
    for (const path of [
      "/tmp/snapshot.db",
      "latest.db",
      "./latest",
      `${name}.json`,
      "http://host/lab/latest",
    ])
      assert.deepEqual(parseBackupArgument(path, { store: "s3://backups" }), { kind: "file", path });
  });

  it("is a URL of a manifest, with .json or without, of a data object, or of a cluster's latest", () => {
    const data = "20260820T120000Z-297ac9c21054";
    for (const [last, meant] of [
      [name, name],
      [`${name}.json`, name],
      [`${data}.db.zst`, data],
      [`${data}.db`, data],
      ["latest", "latest"],
    ])
      assert.deepEqual(parseBackupArgument(`file:///backups/lab/${last}`, {}), {
        kind: "stored",
        store: directory,
        name: meant,
        clusterName: "lab",
      });
  });

  for (const [what, [text, store, expected]] of Object.entries(settingsCases))
    it(`as a URL has these settings of the store: ${what}`, () => {
      const argument = parseBackupArgument(text, store === undefined ? {} : { store });
      assert.deepEqual(argument, { kind: "stored", store: expected, name, clusterName: "lab" });
    });
});

describe("BACKUP is refused", () => {
  it("as a name without a store", () => {
    for (const text of [name, "latest"]) assert.equal(refusal(text).message, "no store was given");
    for (const { scheme } of storeKinds) assert.match(refusal("latest").hint ?? "", RegExp(`${scheme}://`));
  });

  it("as a URL that ends in no backup", () => {
    for (const url of ["s3://backups", "file:///lab", "file:///backups/lab/something"]) {
      const { message, hint } = refusal(url);
      assert.equal(message, `${url} is not a backup's URL`);
      assert.match(hint ?? "", /<cluster>\/latest$/);
    }
  });

  it("with a password in it, which is not repeated", () => {
    for (const url of [
      "s3://me:hunter2@backups",
      "s3://me:hunter2@backups/lab/latest",
      "s3://backups/me:hunter2%40x",
    ]) {
      const { message, hint = "" } = refusal(url);
      assert.doesNotMatch(message + hint, /hunter2/);
    }
  });
});
