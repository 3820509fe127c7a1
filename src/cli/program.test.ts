import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Command } from "commander";
import { storeKinds } from "../store/kinds.ts";
import { build } from "./program.ts";

function program(): Command {
  const output = { write: () => assert.fail("nothing is printed") };
  const context = { stdout: output, stderr: output, env: {}, now: () => new Date(0) };
  return build({ ...context, signal: new AbortController().signal });
}

/** The program and each of its commands, by name. */
function commands(command: Command, path: readonly string[] = []): [name: string, command: Command][] {
  return [
    [path.join(" "), command],
    ...command.commands.flatMap((child) => commands(child, [...path, child.name()])),
  ];
}

/** What `--help` prints on a terminal of 80 columns. */
function help(command: Command): string {
  let printed = "";
  const writeOut = (text: string): void => void (printed += text);
  command.configureOutput({ writeOut, getOutHelpWidth: () => 80 }).outputHelp();
  return printed;
}

describe("help", () => {
  const all = commands(program());

  it("is there for every verb, and for the steps of a restore's Jobs", () => {
    assert.deepEqual(all.map(([name]) => name).toSorted(), [
      "",
      ...["claim", "claim show", "claim take"],
      ...["delete", "fetch", "gc", "list", "members", "operator", "prune", "restore"],
      ...["restore-step", "restore-step fetch", "restore-step place", "save", "status", "trigger", "verify"],
    ]);
  });

  it("lists the verbs that are for people", () => {
    assert.match(help(program()), /^ {2}restore \[options\]/m);
    assert.doesNotMatch(help(program()), /restore-step/);
  });

  it("of a verb with a store names the URL of each kind of store", () => {
    const text = help(program().commands.find((command) => command.name() === "list") ?? assert.fail());
    for (const { scheme } of storeKinds) assert.match(text, new RegExp(`\\b${scheme}://`));
  });

  for (const [name, command] of all) {
    it(`of ${name || "the program"} fits a terminal of 80 columns`, () => {
      const lines = help(command).split("\n");
      assert.ok(lines.length > 5);
      assert.deepEqual(
        lines.filter((line) => line.length > 80),
        [],
      );
    });

    it(`of ${name || "the program"} describes every option and argument`, () => {
      const shown = [...command.options.filter(({ hidden }) => !hidden), ...command.registeredArguments];
      assert.deepEqual(
        shown.filter(({ description }) => description === "").map((one) => one.name()),
        [],
      );
    });
  }
});
