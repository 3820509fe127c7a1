import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { OperatorError } from "../../core/errors.ts";
import type { Context } from "../context.ts";
import type { RestoreFlags } from "../restore/flags.ts";
import { restore } from "./restore.ts";

/** Of the wrong things in one command line, the one that is refused. */
async function refusal(
  text: string,
  flags: Partial<RestoreFlags>,
): Promise<{ code: string; message: string }> {
  const output = { write: () => assert.fail("nothing is printed") };
  const context: Context = {
    stdout: output,
    stderr: output,
    env: {},
    signal: AbortSignal.timeout(30_000),
    now: () => new Date(0),
  };
  const all: RestoreFlags = { bumpRevision: "0", output: "table", logLevel: "info", ...flags };
  const error = await restore(text, all, context).then(
    () => assert.fail("it was restored"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof OperatorError, String(error));
  return { code: error.code, message: error.message };
}

describe("restore refuses, of several things that are wrong, what a person can correct soonest", () => {
  let directory: string;
  let full: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "restore-order-"));
    full = join(directory, "full");
    await writeFile(full, "a file in the place of the data directory");
  });
  after(() => rm(directory, { recursive: true }));

  const noTool = { etcdutl: "/nowhere/etcdutl" };
  const noStore = { store: "file:///nowhere" };

  it("a missing store before a directory that is in use", async () => {
    const { code, message } = await refusal("latest", { dataDir: full, ...noTool });
    assert.deepEqual({ code, message }, { code: "Usage", message: "no store was given" });
  });

  it("a bump that is no number before a directory that is in use", async () => {
    const flags = { dataDir: full, bumpRevision: "many", ...noTool, ...noStore };
    assert.match((await refusal("latest", flags)).message, /^--bump-revision many is not a whole number$/);
  });

  it("a directory that is in use before a tool that is missing", async () => {
    const { code, message } = await refusal("latest", { dataDir: full, ...noTool, ...noStore });
    assert.equal(code, "Refused");
    assert.ok(message.includes(full), message);
  });

  it("a tool that is missing before a store that is missing", async () => {
    const flags = { dataDir: join(directory, "data"), ...noTool, ...noStore };
    assert.match((await refusal("latest", flags)).message, /--etcdutl \/nowhere\/etcdutl/);
  });
});
