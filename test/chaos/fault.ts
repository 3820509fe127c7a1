import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../harness/random.ts";
import type { Replica } from "./replica.ts";
import type { World } from "./world.ts";

export interface Fault {
  name: string;
  /**
   * What it breaks: one fault at a time each, and one for each operator. A commit is whatever happens while a manifest is
   * on its way: it takes the store and both operators.
   */
  on: "operator" | "members" | "api" | "store" | "commit";
  /** Breaks something, waits, and mends it. `replica` is the operator it was drawn for. */
  inflict(world: World, random: Random, replica: Replica): Promise<void>;
}

export const seconds = (random: Random, from: number, to: number) =>
  delay(from * 1000 + random.below((to - from) * 1000 + 1));
