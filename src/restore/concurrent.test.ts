import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { prepareTarget } from "./prepared-target.ts";
import { Stepwise } from "./stepwise.fixture.ts";
import type { RestoreTarget, WorkLayout } from "./work-layout.ts";

const wal = "0000000000000000-0000000000000000.wal";
/** Steps between two tries. With 1 the tests try every order in which two restores take turns twice. */
const stride = Number(process.env["RESTORE_STRIDE"] ?? 4);

let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), "concurrent-"));
  Stepwise.install(root);
});
after(() => rm(root, { recursive: true }));

/** The restore `name` into all targets. With `fails` its tool fails. */
async function restore(targets: readonly RestoreTarget[], name: string, fails = false): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const all = [];
  for (const target of targets) all.push(stack.use(await prepareTarget(target)));
  const [first] = all;
  if (first !== undefined) await writeFile(first.snapshot, name);
  for (const work of all) runTool(first?.snapshot ?? "", work);
  if (fails) throw new Error("the tool failed");
  for (const work of all) await work.sync({ name });
  for (const work of all) await work.commit();
  for (const work of all) await work.finish();
}

/** Like etcd's tool, right after the check for a takeover. No step, since all of it is in the work folders. */
function runTool(snapshot: string, { dataDir, walDir }: WorkLayout): void {
  const content = readFileSync(snapshot);
  if (!existsSync(dirname(dataDir))) throw new Error("taken over");
  mkdirSync(join(dataDir, "member"), { recursive: true });
  writeFileSync(join(dataDir, "member", "db"), content);
  if (walDir === undefined) return;
  mkdirSync(walDir, { recursive: true });
  writeFileSync(join(walDir, wal), content);
}

type Tree = Record<string, string>;

async function treeOf(directory: string): Promise<Tree> {
  const tree: Tree = {};
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    tree[path.slice(directory.length + 1)] = entry.isFile() ? await readFile(path, "utf8") : "directory";
  }
  return tree;
}

/** The entries that do not begin with a dot: without the work of restores that were killed. */
function visible(tree: Tree): Tree {
  return Object.fromEntries(Object.entries(tree).filter(([path]) => !/(^|\/)\./.test(path)));
}

interface World {
  path: string;
  targets: RestoreTarget[];
  before: Tree;
  /** The tree after `name` has succeeded. */
  complete(name: string): Tree;
}

interface Layout {
  /** Directories that exist before. */
  existing?: string[];
  members?: string[];
  walDirs?: boolean;
}

let worlds = 0;

async function newWorld({ existing = [], members = ["m"], walDirs = true }: Layout): Promise<World> {
  const path = join(root, String(worlds++));
  await mkdir(path);
  for (const directory of existing) await mkdir(join(path, directory), { recursive: true });
  return {
    path,
    targets: members.map((member) => ({
      dataDir: join(path, member, "data"),
      ...(walDirs ? { walDir: join(path, member, "wal") } : {}),
    })),
    before: await treeOf(path),
    complete: (name) =>
      Object.assign(
        {},
        ...members.map((member) => ({
          [member]: "directory",
          [`${member}/data`]: "directory",
          [`${member}/data/member`]: "directory",
          [`${member}/data/member/db`]: name,
          [`${member}/data/member/restored.json`]: `${JSON.stringify({ name }, undefined, 2)}\n`,
          ...(walDirs ? { [`${member}/wal`]: "directory", [`${member}/wal/${wal}`]: name } : {}),
        })),
      ) as Tree,
  };
}

/** Whether one has succeeded: then all data is its own, else nothing has changed. */
async function assertOneOrNone(world: World, ran: Record<string, Stepwise>, how: string): Promise<boolean> {
  const won = Object.keys(ran).filter((name) => ran[name]?.outcome?.status === "fulfilled");
  assert.ok(won.length <= 1, `${how}: ${won.join(" and ")} have succeeded`);
  const [winner] = won;
  assert.deepEqual(
    await treeOf(world.path),
    winner === undefined ? world.before : world.complete(winner),
    `${how}: ${winner ?? "none"} has succeeded`,
  );
  return winner !== undefined;
}

const absent: Layout = {};
const empty: Layout = { existing: ["m/data", "m/wal"] };
const walAbsent: Layout = { existing: ["m/data"] };
const several: Layout = { members: ["m1", "m2"], walDirs: false };

/** Runs `order` with growing numbers of steps of both, until it makes fewer than it was asked for. */
async function everyOrder(order: (first: number, second: number) => Promise<[number, number]>) {
  let runs = 0;
  for (let first = 0; ; first += stride)
    for (let second = 1; ; second += stride) {
      const [madeFirst, madeSecond] = await order(first, second);
      runs += 1;
      if (madeFirst < first) return runs;
      if (madeSecond < second) break;
    }
}

describe("of two restores at once one succeeds, or both fail and leave everything as it was", () => {
  for (const [where, layout, failing] of [
    ["in directories that do not exist", absent, []],
    ["in directories that do not exist, when the first one's tool fails", absent, ["a"]],
    ["in directories that do not exist, when the second one's tool fails", absent, ["b"]],
    ["in directories that do not exist, when both tools fail", absent, ["a", "b"]],
    ["in empty directories", empty, []],
    ["in an empty data directory, without a WAL directory, when both tools fail", walAbsent, ["a", "b"]],
    ["in an empty data directory, without a WAL directory", walAbsent, []],
    ["in the data directories of two members", several, []],
    ["in the data directories of two members, when both tools fail", several, ["a", "b"]],
  ] as const)
    it(where, async (t) => {
      let won = 0;
      const runs = await everyOrder(async (first, second) => {
        const world = await newWorld(layout);
        const start = (name: "a" | "b") =>
          new Stepwise(() =>
            restore(
              world.targets,
              name,
              failing.some((one) => one === name),
            ),
          );
        const [a, b] = [start("a"), start("b")];
        const made: [number, number] = [await a.advance(first), await b.advance(second)];
        await a.advance();
        await b.advance();
        if (await assertOneOrNone(world, { a, b }, `${first} steps of a, ${second} of b`)) won += 1;
        await rm(world.path, { recursive: true });
        return made;
      });
      t.diagnostic(`one succeeded in ${won} of ${runs} orders`);
    });
});

it("a restore whose tool creates its work folder again after a takeover fails and leaves nothing", async () => {
  const world = await newWorld(absent);
  const [target] = world.targets;
  assert.ok(target !== undefined);
  {
    await using earlier = await prepareTarget(target);
    await (await prepareTarget(target))[Symbol.asyncDispose]();
    mkdirSync(join(earlier.dataDir, "member"), { recursive: true });
    mkdirSync(earlier.walDir ?? "", { recursive: true });
    await earlier.sync({});
    await assert.rejects(earlier.commit(), { code: "Conflict" });
  }
  assert.deepEqual(await treeOf(world.path), world.before);
});

describe("after a restore that was killed", () => {
  for (const [where, layout] of [
    ["directories that did not exist", absent],
    ["empty directories", empty],
  ] as const) {
    it(`the next one into ${where} succeeds and leaves nothing else, unless the data is complete`, async () => {
      for (let steps = 0; ; steps += 1) {
        const world = await newWorld(layout);
        const made = await new Stepwise(() => restore(world.targets, "a")).advance(steps);
        await assertNext(world, "b", `a killed after ${steps} steps`);
        await rm(world.path, { recursive: true });
        if (made < steps) return;
      }
    });

    it(`beside another one in ${where} the other one or the next one succeeds`, async () => {
      await everyOrder(async (first, second) => {
        const how = `${first} steps of b, a killed after ${second}`;
        const world = await newWorld(layout);
        const b = new Stepwise(() => restore(world.targets, "b"));
        const madeFirst = await b.advance(first);
        const madeSecond = await new Stepwise(() => restore(world.targets, "a")).advance(second);
        await b.advance();
        if (b.outcome?.status === "fulfilled")
          assert.deepEqual(visible(await treeOf(world.path)), world.complete("b"), how);
        else await assertNext(world, "c", how);
        await rm(world.path, { recursive: true });
        return [madeFirst, madeSecond];
      });
    });
  }
});

/** The restore `name` succeeds, or the data of `a` is complete and stays. */
async function assertNext(world: World, name: string, how: string): Promise<void> {
  const committed = (await treeOf(world.path))["m/data/member"] !== undefined;
  const [outcome] = await Promise.allSettled([restore(world.targets, name)]);
  const tree = await treeOf(world.path);
  if (committed) {
    assert.match(String(outcome?.status === "rejected" && outcome.reason), /is not empty \(member\)/, how);
    assert.deepEqual(visible(tree), world.complete("a"), how);
  } else {
    assert.deepEqual(outcome, { status: "fulfilled", value: undefined }, how);
    assert.deepEqual(tree, world.complete(name), how);
  }
}
