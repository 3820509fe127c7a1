import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { cutToBytes, type EventText, SeriesStore } from "./series.ts";
import { TokenBuckets } from "./token-buckets.ts";

const regarding = (uid: string) => ({ apiVersion: "v1", kind: "Pod", namespace: "default", name: "p", uid });
const text: EventText = { type: "Warning", reason: "UploadFailed", action: "Backup", note: "503" };
const minute = 60_000;

describe("the same event", () => {
  test("about the same object is counted", () => {
    const store = new SeriesStore({ windowMs: 10 * minute });
    const first = store.count(regarding("1"), text, 0);
    assert.equal(store.count(regarding("1"), text, 9 * minute), first);
    assert.equal(
      store.count(regarding("1"), text, 18 * minute),
      first,
      "the window starts again with each event",
    );
    assert.deepEqual([first?.count, first?.first, first?.last], [3, 0, 18 * minute]);
  });

  test("after a longer pause is a new one", () => {
    const store = new SeriesStore({ windowMs: 10 * minute });
    const first = store.count(regarding("1"), text, 0);
    const second = store.count(regarding("1"), text, 10 * minute + 1);
    assert.notEqual(second, first);
    assert.equal(second?.count, 1);
  });

  test("with another object, type, reason or note is another event", () => {
    const store = new SeriesStore();
    const keys = [
      store.count(regarding("1"), text, 0),
      store.count(regarding("2"), text, 0),
      store.count(regarding("1"), { ...text, type: "Normal" }, 0),
      store.count(regarding("1"), { ...text, reason: "UploadSlow" }, 0),
      store.count(regarding("1"), { ...text, note: "500" }, 0),
    ].map((series) => series?.key);
    assert.equal(new Set(keys).size, 5);
  });
});

test("the number of series is bounded: a series beyond its window makes room, else the new one is refused", () => {
  const store = new SeriesStore({ windowMs: minute, maxSeries: 2 });
  const add = (note: string, now: number) => store.count(regarding("1"), { ...text, note }, now);
  assert.ok(add("a", 0));
  assert.ok(add("b", minute));
  assert.ok(add("c", minute + 1), "a is beyond its window");
  assert.equal(add("d", minute + 2), undefined);
  assert.equal(add("b", minute + 3)?.count, 2, "a kept series is still counted");
});

test("a series whose count is on the server makes room, the one that was quiet longest first", () => {
  const store = new SeriesStore({ maxSeries: 2 });
  const add = (note: string, now: number) => {
    const series = store.count(regarding("1"), { ...text, note }, now);
    if (series !== undefined) series.written = series.count;
    return series;
  };
  const a = add("a", 0);
  const b = add("b", 1);
  assert.equal(add("a", 2), a);
  assert.ok(add("c", 3));
  assert.equal(store.get(a?.key ?? ""), a);
  assert.equal(store.get(b?.key ?? ""), undefined);
});

test("five events of each of 1,000 objects in ten minutes are kept, though none is written yet", () => {
  const store = new SeriesStore();
  for (let n = 0; n < 5_000; n++) {
    const kept = store.count(regarding(`${n % 1_000}`), { ...text, note: `${n}` }, (n * 10 * minute) / 5_000);
    assert.ok(kept, `event ${n} was refused`);
  }
});

test("only series whose count is not on the server are unwritten", () => {
  const store = new SeriesStore();
  const written = store.count(regarding("1"), text, 0);
  const open = store.count(regarding("2"), text, 0);
  if (written !== undefined) written.written = 1;
  assert.deepEqual(store.unwritten(), [open]);
});

test("a long note is cut to whole characters that fit", () => {
  assert.equal(cutToBytes("short", 1024), "short");
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme", maxLength: 80 }),
      fc.integer({ min: 3, max: 60 }),
      (note, bytes) => {
        const cut = cutToBytes(note, bytes);
        assert.ok(Buffer.byteLength(cut) <= bytes);
        assert.ok(cut === note || note.startsWith(cut.slice(0, -1)));
        assert.ok(!cut.includes("\u{FFFD}") || note.includes("\u{FFFD}"));
      },
    ),
  );
});

describe("a token bucket", () => {
  test("gives a burst, then one token an interval, and returns how long to wait", () => {
    const buckets = new TokenBuckets({ burst: 3, refillMs: minute });
    assert.deepEqual(
      [1, 2, 3].map(() => buckets.take("a", 0)),
      [0, 0, 0],
    );
    assert.equal(buckets.take("a", 0), minute);
    assert.equal(buckets.take("a", 20_000), 40_000);
    assert.equal(buckets.take("b", 20_000), 0, "another key has its own bucket");
    assert.equal(buckets.take("a", minute), 0);
    assert.equal(buckets.take("a", minute), minute);
  });

  test("is full again after a pause, and never holds more than the burst", () => {
    const buckets = new TokenBuckets({ burst: 2, refillMs: minute });
    assert.deepEqual(
      [1, 2].map(() => buckets.take("a", 0)),
      [0, 0],
    );
    assert.deepEqual(
      [1, 2, 3].map(() => buckets.take("a", 60 * minute) === 0),
      [true, true, false],
    );
  });
});
