import fc from "fast-check";
import { type Happening, totalBytes } from "./world.fixture.ts";

const what = <const T extends string>(...names: T[]) => fc.constantFrom(...names);

const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      what: what("time"),
      seconds: fc.oneof(fc.nat({ max: 60 }), fc.constant(3600)),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      what: what("runReports"),
      member: fc.boolean(),
      bytes: fc.constantFrom(0, 4_096, totalBytes),
    }),
  },
  { weight: 3, arbitrary: fc.record({ what: what("runSucceeds", "runFails") }) },
  { weight: 1, arbitrary: fc.record({ what: what("runFailsForGood", "stopInOrder") }) },
  { weight: 2, arbitrary: fc.record({ what: what("runFailsUnknown"), stored: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ what: what("crash"), stored: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ what: what("nextWriteIsLost"), persisted: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ what: what("store"), is: what("found", "found", "missing", "readOnly") }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ what: what("bucket"), is: what("answers", "answers", "silent", "refuses") }),
  },
  { weight: 1, arbitrary: fc.record({ what: what("slots"), free: fc.nat({ max: 1 }) }) },
  { weight: 1, arbitrary: fc.record({ what: what("policy"), is: what("Retain", "Delete") }) },
);

/** Happenings, each followed by so many passes of the reconciler. */
export const story = fc.array(fc.tuple(happening, fc.nat({ max: 3 })), { maxLength: 40, size: "max" });

export const runEnds = fc.constantFrom("runSucceeds" as const, "runFails" as const);
export const backoffLimits = fc.nat({ max: 3 });
