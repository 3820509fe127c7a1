import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Hold, type HoldDecision, type HoldTimes, SilenceMeter, decideHold } from "./hold.ts";

const minuteMs = 60_000;
const own = { lease: "new/operator", durationMs: 15 * minuteMs };
const holdBy = (lease: string, durationSeconds = 900): Hold => ({
  lease,
  renewTime: "2026-08-20T12:00:00Z",
  durationSeconds,
});

describe("an operator and the hold of an EtcdBackupStore", () => {
  const fresh: HoldTimes = { silentMs: 0, renewedAgoMs: Number.POSITIVE_INFINITY };
  const table: [what: string, hold: Hold | undefined, times: HoldTimes, decision: HoldDecision["do"]][] = [
    ["takes a store that nobody holds", undefined, fresh, "take"],
    ["renews its own hold in a new process before it works", holdBy(own.lease), fresh, "take"],
    [
      "works while its renewal is recent",
      holdBy(own.lease),
      { ...fresh, renewedAgoMs: 9 * minuteMs },
      "work",
    ],
    ["renews first when it is late", holdBy(own.lease), { ...fresh, renewedAgoMs: 10 * minuteMs }, "take"],
    ["writes another duration of its own hold", holdBy(own.lease, 60), { ...fresh, renewedAgoMs: 0 }, "take"],
    ["leaves a store of another Lease", holdBy("old/operator"), fresh, "leave"],
    [
      "leaves it for the whole duration that the holder has named",
      holdBy("old/operator"),
      { ...fresh, silentMs: 15 * minuteMs - 1 },
      "leave",
    ],
    ["takes it over after that", holdBy("old/operator"), { ...fresh, silentMs: 15 * minuteMs }, "take"],
    [
      "goes by the duration of the holder, not by its own",
      holdBy("old/operator", 3600),
      { ...fresh, silentMs: 15 * minuteMs },
      "leave",
    ],
  ];
  for (const [what, hold, times, expected] of table)
    it(what, () => assert.equal(decideHold(hold, own, times).do, expected));
});

describe("the silence of a holder", () => {
  const hold = holdBy("old/operator");

  it("is the time in which its hold did not change, by the clock of the reader", () => {
    const meter = new SilenceMeter();
    const silences = Array.from({ length: 16 }, (_, minute) => meter.read("s", hold, minute * minuteMs));
    assert.deepEqual([silences[0], silences[1], silences[15]], [0, minuteMs, 15 * minuteMs]);
  });

  it("begins again with every renewal", () => {
    const meter = new SilenceMeter();
    meter.read("s", hold, 0);
    assert.equal(meter.read("s", hold, minuteMs), minuteMs);
    assert.equal(meter.read("s", { ...hold, renewTime: "2026-08-20T12:02:00Z" }, 2 * minuteMs), 0);
  });

  it("does not grow by a time without reads, in which the holder may have been unable to write as well", () => {
    const meter = new SilenceMeter();
    meter.read("s", hold, 0);
    assert.equal(meter.read("s", hold, 24 * 60 * minuteMs), 2 * minuteMs);
  });

  it("is measured for each store alone", () => {
    const meter = new SilenceMeter();
    meter.read("s", hold, 0);
    assert.equal(meter.read("t", hold, minuteMs), 0);
  });
});
