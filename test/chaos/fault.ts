import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../harness/random.ts";
import type { Round } from "./backups.ts";
import type { Replica } from "./replica.ts";
import type { Testbed } from "./testbed.ts";

export interface Fault {
  name: string;
  /**
   * What it affects. Of each there is one fault at a time, and one for each operator. A `commit` fault happens while a
   * manifest is put, and affects the store and both operators. A `quorum` fault affects the members and both operators.
   * `operatorClocks` are the clocks of both operators, which may be paused or killed meanwhile.
   */
  on:
    | ("operator" | "members" | "api" | "store" | "commit" | "quorum")
    | ("clock" | "tenant" | "copy" | "place" | "placeAndOperators")
    | ("schedules" | "operatorClocks");
  /** It takes about a minute. Short runs do not draw it. */
  isLong?: true;
  /** Injects the fault, waits, and repairs it. `replica` is the operator that an `operator` fault affects. */
  inflict(testbed: Testbed, random: Random, replica: Replica, round: Round): Promise<void>;
}

export const seconds = (random: Random, from: number, to: number) =>
  delay(from * 1000 + random.below((to - from) * 1000 + 1));
