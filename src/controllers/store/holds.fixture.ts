import { noLog } from "../../core/log.ts";
import { type HoldDeps, StoreHolds } from "./holds.ts";

/** The holds of an operator that is alone, in a process that begins now. */
export function holdsOver(resources: HoldDeps["resources"], over: Partial<HoldDeps> = {}): StoreHolds {
  return new StoreHolds({
    holder: { lease: "ns/operator", durationMs: 900_000 },
    resources,
    events: { record() {} },
    now: () => new Date(),
    clock: () => performance.now(),
    log: noLog,
    ...over,
  });
}
