import assert from "node:assert/strict";
import { type World, createWorld } from "./world.fixture.ts";

/** Passes until the reconciler has decided this. Resolves to the decisions before it. */
export async function until(world: World, decision: string): Promise<string[]> {
  const decisions: string[] = [];
  for (let pass = 0; pass < 60; pass++) {
    const decided = await world.look();
    if (decided === decision) return decisions;
    decisions.push(decided);
  }
  return assert.fail(`${decision} was not decided: ${JSON.stringify(world.backup.status)}`);
}

/** A world whose EtcdBackup has a first attempt under way. */
export async function startedWorld(backoffLimit = 3): Promise<World> {
  const world = createWorld(backoffLimit);
  await until(world, "start");
  return world;
}
