import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FolderBackup } from "../../backup/catalog/folder-backups.ts";
import { OperatorError } from "../../core/errors.ts";
import { build } from "../program.ts";
import { choose } from "./delete.ts";

const backup = (name: string, revision: number, over: Partial<FolderBackup> = {}): FolderBackup => ({
  name,
  time: new Date("2026-08-20T12:00:00Z"),
  storedAt: new Date("2026-08-20T12:00:01Z"),
  revision,
  generation: 0,
  series: undefined,
  problem: undefined,
  ...over,
});

const folder = "s3://backups/lab";
const backups = [
  backup("damaged", 4, { problem: "its data is missing" }),
  backup("newest", 3),
  backup("older", 2),
  backup("oldest", 1),
  backup("later", 5, { problem: "format 99", isOfLaterRelease: true }),
];

describe("the backups that delete deletes", () => {
  const cases: [string, string[], boolean, string[]][] = [
    ["are the named ones, newest first", ["oldest", "older"], false, ["older", "oldest"]],
    [
      "may have a problem, also when they are newer than the newest sound one",
      ["damaged"],
      false,
      ["damaged"],
    ],
    ["may be the newest sound one with --allow-newest", ["newest"], true, ["newest"]],
  ];
  for (const [what, names, allowNewest, expected] of cases)
    it(what, () => {
      const chosen = choose(backups, new Set(names), { folder, allowNewest });
      assert.deepEqual(
        chosen.map(({ name }) => name),
        expected,
      );
    });

  const refusals: [string, string[], string, RegExp][] = [
    [
      "the newest sound one",
      ["newest"],
      "Refused",
      /^newest is the newest backup .* can be restored; nothing was/,
    ],
    ["all of them, and so the newest", ["newest", "older", "oldest"], "Refused", /^newest is the newest/],
    ["one that does not exist", ["older", "gone"], "NotFound", /does not hold gone; nothing was deleted$/],
    ["one of a later release", ["older", "later"], "Refused", /^later: format 99; nothing was deleted$/],
  ];
  for (const [what, names, code, message] of refusals)
    it(`are none when they hold ${what}`, () => {
      assert.throws(() => choose(backups, new Set(names), { folder }), { code, message });
    });
});

describe("delete", () => {
  for (const text of [
    "latest",
    "s3://backups/lab/20260820T120000Z-r00000000000000000042-0f1e2d3c4b5a",
    "prod",
  ])
    it(`does not take ${text} for a name, and says so before the store is opened`, async () => {
      const output = { write: () => true };
      const { signal } = new AbortController();
      const context = { stdout: output, stderr: output, env: {}, signal, now: () => new Date() };
      const args = ["delete", text, "--cluster-name", "lab", "--store", "file:///dev/null/none"];
      await assert.rejects(build(context).parseAsync(args, { from: "user" }), (error) => {
        assert.ok(error instanceof OperatorError, String(error));
        assert.equal(error.code, "Usage");
        assert.ok(error.message.startsWith(`${text} is not the name of a backup`), error.message);
        return true;
      });
    });
});
