import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkObjectName, checkPrefix, isObjectName } from "./object-name.ts";

describe("an object's name", () => {
  it("may be a name of a backup's files", () => {
    for (const name of [
      "prod/20260820T120000Z-abc.db.zst",
      "a=b/c_d-e.f",
      ".hidden",
      `${"x".repeat(200)}/y`,
    ]) {
      assert.doesNotThrow(() => checkObjectName(name), name);
      assert.equal(isObjectName(name), true);
    }
  });

  it("is refused with the reason", () => {
    const reasons: [string, RegExp][] = [
      ["", /is empty/],
      ["a b", /only letters/],
      ["a~b", /only letters/],
      ["ä", /only letters/],
      ["a..b", /contains \.\./],
      ["/a", /begins or ends with \//],
      ["a//b", /contains \/\//],
      ["a/./b", /segment \./],
      ["x".repeat(201), /segment is longer than 200/],
      [`${"x/".repeat(400)}x`, /longer than 800/],
    ];
    for (const [name, reason] of reasons) {
      assert.throws(() => checkObjectName(name), { code: "InvalidConfiguration", message: reason }, name);
      assert.equal(isObjectName(name), false);
    }
  });

  it("may be searched by any prefix that is the beginning of a name", () => {
    for (const prefix of ["", "a", "a/", "a/b", "a/.", "."])
      assert.doesNotThrow(() => checkPrefix(prefix), prefix);
    for (const prefix of ["/", "a//", "..", "a/../", "ä"]) assert.throws(() => checkPrefix(prefix), prefix);
  });
});
