import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

export const runbooks = join(import.meta.dirname, "..", "..", "..", "docs", "runbooks");

/** One fenced block of a page, with the meaning of the comment before it. */
export type Block = { line: number; text: string } & (
  | { kind: "run"; on: string; ways: string[] }
  /** `text` is the output of the command, or of the host's last block when there is none; `…` matches anything within a line. */
  | { kind: "says"; on: string; ways: string[]; asked?: { exit: number; command: string } }
  | { kind: "not run"; reason: string }
);

export interface Page {
  name: string;
  text: string;
  blocks: Block[];
}

/**
 * Reads a page and its blocks, in order. Each ```sh and ```text block has a comment before it:
 *
 *     <!-- run: on=etcd1,etcd2 way=learner -->    on: names of hosts, or `each`; way: only in that walk
 *     <!-- not run: the reason -->
 *     <!-- says: on=etcd1 exit=3: a command -->       the block is the output of the command
 *     <!-- says: on=etcd1 -->                       the block is the output of the block before it
 */
export async function readPage(name: string): Promise<Page> {
  const text = await readFile(join(runbooks, name), "utf8");
  return { name, text, blocks: blocksOf(name, text) };
}

export function blocksOf(page: string, text: string): Block[] {
  const fence = /(<!--(?<comment>(?:(?!-->)[^])*)-->\n)?```(?<language>\w*)\n(?<text>[^]*?)\n```/g;
  return [...text.matchAll(fence)].flatMap((match) => {
    const { comment = "", language = "", text: inner = "" } = match.groups ?? {};
    const line = text.slice(0, match.index).split("\n").length;
    if (!["sh", "text"].includes(language))
      throw new Error(`${page}:${line}: a fenced block is either sh or text, not "${language}"`);
    const block = annotated(comment.trim(), { line, text: inner });
    const fits = block?.kind === "not run" || block?.kind === (language === "sh" ? "run" : "says");
    if (block === undefined || !fits)
      throw new Error(
        `${page}:${line}: the ${language} block has no comment that says where it runs or why not`,
      );
    return [block];
  });
}

function annotated(comment: string, at: { line: number; text: string }): Block | undefined {
  const notRun = /^not run: (?<reason>[^]+)$/.exec(comment)?.groups?.["reason"];
  if (notRun !== undefined) return { ...at, kind: "not run", reason: notRun };
  const run =
    /^(?<kind>run|says): on=(?<on>\S+?)(?: way=(?<way>[\w,]+))?(?: exit=(?<exit>\d+):\s(?<command>[^]+))?$/.exec(
      comment,
    );
  const { kind, on = "", way, exit, command } = run?.groups ?? {};
  const ways = way?.split(",") ?? [];
  if (kind === "run" && exit === undefined) return { ...at, kind, on, ways };
  if (kind === "says" && command !== undefined)
    return { ...at, kind, on, ways, asked: { exit: Number(exit), command: command.trim() } };
  if (kind === "says") return { ...at, kind, on, ways };
  return undefined;
}

/** The example values that a page gives to its variables: `export NAME="${NAME:-value}"`. */
export function examplesOf({ text }: Page): Map<string, string> {
  const lines = text.matchAll(/^export (\w+)="\$\{(\w+):-(.*)\}"$/gm);
  return new Map(
    [...lines].map(([line, name = "", again, value = ""]) => {
      assert.equal(name, again, line);
      return [name, value] as const;
    }),
  );
}

/** A host that runs blocks. */
export interface PageHost {
  readonly name: string;
  /** Runs bash with the variables of earlier blocks. */
  bash(script: string): Promise<{ code: number; output: string }>;
  /** Replaces the example values by those of this machine. */
  here(text: string): string;
  /** Replaces the values of this machine by the example values. */
  asOnPage(text: string): string;
}

/**
 * Runs the blocks of a page in order, each on all of its hosts, without those of other ways. A block has to exit with 0,
 * and its output has to match the page. Returns the line numbers of the blocks that ran.
 */
export async function walk(
  page: Page,
  hosts: readonly PageHost[],
  { way, before }: { way?: string; before?: (block: Block) => Promise<void> } = {},
): Promise<Set<number>> {
  const ran = new Set<number>();
  const outputs = new Map<PageHost, string>();
  for (const block of page.blocks) {
    if (block.kind === "not run") continue;
    if (block.ways.length > 0 && !(way !== undefined && block.ways.includes(way))) continue;
    ran.add(block.line);
    await before?.(block);
    for (const host of hostsOf(block, hosts)) {
      const at = `${page.name}:${block.line} on ${host.name}`;
      if (block.kind === "run") outputs.set(host, await output(host, block.text, { exit: 0, at }));
      else await compare(block, host, { before: outputs.get(host) ?? "", at });
    }
  }
  return ran;
}

function hostsOf({ on, line }: Block & { on: string }, hosts: readonly PageHost[]): readonly PageHost[] {
  if (on === "each") return hosts;
  return on.split(",").map((name) => {
    const host = hosts.find((candidate) => candidate.name === name);
    assert.ok(host !== undefined, `line ${line}: there is no host ${name}`);
    return host;
  });
}

async function output(host: PageHost, script: string, { exit, at }: { exit: number; at: string }) {
  const { code, output } = await host.bash(script);
  assert.equal(code, exit, `${at} ends with exit code ${exit}:\n${script}\n\n${output}`);
  return output;
}

async function compare(
  { asked, text }: Block & { kind: "says" },
  host: PageHost,
  { before, at }: { before: string; at: string },
): Promise<void> {
  const onHost = asked === undefined ? before : await output(host, asked.command, { exit: asked.exit, at });
  const onPage = host.asOnPage(onHost).trim();
  assert.match(onPage, wildcard(text), `${at}: the output differs from the page:\n${onPage}\n`);
}

/** Matches consecutive whole lines; `…` matches anything within a line. */
function wildcard(text: string): RegExp {
  const parts = text.split("…").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join(".*")}$`, "m");
}
