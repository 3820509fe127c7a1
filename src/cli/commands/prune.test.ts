import assert from "node:assert/strict";
import { test } from "node:test";
import { OperatorError } from "../../core/errors.ts";
import { build } from "../program.ts";

/** The error of a command line whose store does not exist, so that a refusal comes before anything is asked. */
async function refusal(args: string[]): Promise<OperatorError> {
  const output = { write: () => true };
  const { signal } = new AbortController();
  const context = { stdout: output, stderr: output, env: {}, signal, now: () => new Date() };
  return build(context)
    .parseAsync([...args, "--store", "file:///dev/null/none"], { from: "user" })
    .then(
      () => assert.fail("the command succeeded"),
      (error: unknown) => (error instanceof OperatorError ? error : assert.fail(String(error))),
    );
}

const series = ["--cluster-name", "lab", "--series", "daily"];
const cases: [string, string[], RegExp][] = [
  ["a prune without a rule", series, /^no rule was given.*--keep-last 7/],
  ["a prune without a series", ["--cluster-name", "lab", "--keep-last", "1"], /^no series.*--series NAME/],
  [
    "a prune without a cluster name",
    ["--series", "daily", "--keep-last", "1"],
    /^no cluster name.*--cluster-name/,
  ],
  [
    "a prune of a name that no series has",
    [...series, "--series", "a/b", "--keep-last", "1"],
    /^series name "a\/b"/,
  ],
  ["--keep-last 0", [...series, "--keep-last", "0"], /^--keep-last 0 is not a number from 1 to 10000/],
  ["--keep-daily -1", [...series, "--keep-daily", "-1"], /^--keep-daily -1 is not a whole number/],
  ["--keep-yearly 10001", [...series, "--keep-yearly", "10001"], /^--keep-yearly 10001 is not a number/],
  ["--keep-within 7", [...series, "--keep-within", "7"], /^--keep-within 7 must be a time such as 36h/],
  [
    "a time zone that does not exist",
    [...series, "--keep-last", "1", "--time-zone", "Berlin"],
    /^--time-zone: "Berlin" is not a time zone.*Europe\/Berlin/,
  ],
];

for (const [what, args, says] of cases)
  test(`${what} is refused before the store is opened`, async () => {
    const { code, message, hint = "" } = await refusal(["prune", ...args]);
    assert.equal(code, "Usage", message);
    assert.match(`${message} (${hint})`, says);
  });
