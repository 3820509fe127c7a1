import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { objectKind } from "../../core/backup/name.ts";
import { scheduledAtAnnotation, triggerAnnotation } from "../../core/schedule/child.ts";
import { addBackup } from "../../backup/manifest/manifest.fixture.ts";
import { noRoute } from "../../kube/memory-api/memory-api.fixture.ts";
import { type ScheduleWorld, createScheduleWorld } from "./world.fixture.ts";

const what = <const T extends string>(name: T) => fc.constant(name);

const happening = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      what: what("time"),
      seconds: fc.constantFrom(1, 60, 600, 3_599, 3_600, 9_000),
    }),
  },
  { weight: 4, arbitrary: fc.record({ what: what("succeeds") }) },
  { weight: 1, arbitrary: fc.record({ what: what("fails") }) },
  { weight: 2, arbitrary: fc.record({ what: what("listed") }) },
  { weight: 2, arbitrary: fc.record({ what: what("restart") }) },
  { weight: 2, arbitrary: fc.record({ what: what("writeIsLost"), persisted: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      what: what("clock"),
      seconds: fc.constantFrom(-90_000, -7_200, -60, 7_200, 90_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: what("suspend"), is: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({ what: what("trigger"), token: fc.constantFrom("a", "b", "c") }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      what: what("store"),
      mode: fc.constantFrom("ReadOnly" as const, "ReadWrite" as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ what: what("bucket"), is: fc.constantFrom("refuses", "answers") }),
  },
  { weight: 1, arbitrary: fc.record({ what: what("recordIsDeleted") }) },
);
type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;

interface Told {
  /** The times for which an EtcdBackup was ever created, and the triggers. */
  causes: string[];
  revision: number;
}

async function happen(world: ScheduleWorld, told: Told, event: Happening): Promise<void> {
  switch (event.what) {
    case "time":
    case "clock":
      world.advance(event.seconds);
      break;
    case "succeeds":
      if (world.children().some(({ status }) => status.completionTime === undefined))
        world.store((told.revision += 1));
      break;
    case "fails":
      world.end("Failed");
      break;
    case "listed":
      await world.list().catch(() => {});
      break;
    case "restart":
      world.restart();
      break;
    case "writeIsLost": {
      const lose = () => {
        world.api.beforeRequest = () => {};
        world.api.afterRequest = () => {};
        throw noRoute();
      };
      const hook = ({ verb }: { verb: string }) => (verb === "get" ? undefined : lose());
      if (event.persisted) world.api.afterRequest = hook;
      else world.api.beforeRequest = hook;
      break;
    }
    case "suspend":
      world.change(({ spec }) => void (spec.suspend = event.is));
      break;
    case "trigger":
      world.change(({ metadata }) => {
        metadata.annotations = { [triggerAnnotation]: event.token };
      });
      break;
    case "store":
      world.changeStore(({ spec }) => {
        spec.accessMode = event.mode;
      });
      break;
    case "bucket":
      world.bucket.beforeCall = async () => {
        if (event.is === "refuses") throw noRoute();
      };
      break;
    case "recordIsDeleted": {
      const [ended] = world.children().filter(({ status }) => status.completionTime !== undefined);
      if (ended !== undefined) world.removeBackup(ended.metadata.name);
      break;
    }
    default:
      event satisfies never;
  }
  await passes(world, told);
}

/** Passes until nothing is to be done, as the queue makes them, with what fails tried again. */
async function passes(world: ScheduleWorld, told: Told): Promise<void> {
  for (let pass = 0; pass < 40; pass++) {
    const before = new Set(world.children().map(({ metadata }) => metadata.uid));
    const againAfterMs = await world.pass().catch(() => 0);
    for (const { metadata } of world.children()) {
      if (before.has(metadata.uid)) continue;
      const { annotations = {} } = metadata;
      told.causes.push(annotations[scheduledAtAnnotation] ?? annotations[triggerAnnotation] ?? "none");
    }
    const running = world.children().filter(({ status }) => status.completionTime === undefined);
    assert.ok(running.length <= 1, "two backups of one schedule run");
    if (againAfterMs !== 0) return;
  }
  assert.fail("40 passes, and still something to do");
}

const revisions = ({ bucket }: ScheduleWorld) =>
  [...bucket.objects.keys()]
    .filter((object) => objectKind(object) === "manifest")
    .map((object) => Number(/-r(\d+)-/.exec(object)?.[1]));

test("whatever happens to clock, operator, store and writes, no time runs twice, and nothing goes that has to stay", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 40 }), async (story) => {
      const world = createScheduleWorld({ retention: { keepLast: 2 }, successfulHistoryLimit: 5 });
      const strangers = [1, 2, 3].map((revision) =>
        addBackup(world.bucket, {
          time: `2026-08-0${revision}T12:00:00Z`,
          revision,
          runId: `other${revision}`,
          series: { name: revision === 1 ? "prod" : "other", namespace: "ns", kubernetesCluster: "k2" },
        }),
      );
      const told: Told = { causes: [], revision: 100 };
      await passes(world, told);
      for (const event of story) {
        await happen(world, told, event);
        for (const { object, data } of strangers)
          assert.ok(
            world.bucket.objects.has(object) && world.bucket.objects.has(data),
            "a backup of another series is gone",
          );
        if (told.revision > 100)
          assert.ok(revisions(world).includes(told.revision), "the newest backup is gone");
        const data = [...world.bucket.objects.keys()].filter(
          (object) => objectKind(object) === "data",
        ).length;
        assert.ok(data >= revisions(world).length, "a backup is listed without its data");
      }
      const times = told.causes.filter((cause) => cause.startsWith("20"));
      assert.equal(new Set(times).size, times.length, `a time ran twice: ${times.join(" ")}`);
    }),
    { numRuns: 400 },
  );
});

test("left alone, a schedule backs up at its next time again, and removes what no rule keeps", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 25 }), async (story) => {
      const world = createScheduleWorld({ retention: { keepLast: 2 } });
      const told: Told = { causes: [], revision: 100 };
      for (const event of story) await happen(world, told, event);
      world.api.beforeRequest = () => {};
      world.api.afterRequest = () => {};
      world.bucket.beforeCall = () => {};
      world.change(({ spec }) => void (spec.suspend = false));
      world.changeStore(({ spec }) => void (spec.accessMode = "ReadWrite"));
      // A clock that was set back by a day is waited for.
      world.advance(2 * 86_400);
      for (let hour = 0; hour < 3; hour++) {
        await passes(world, told);
        if (world.children().some(({ status }) => status.completionTime === undefined))
          world.store((told.revision += 1));
        await world.list();
        await passes(world, told);
        world.advance(3_600);
      }
      assert.deepEqual(revisions(world).toSorted(), [told.revision - 1, told.revision]);
      assert.equal(world.condition("LastBackupSucceeded")?.status, "True");
      assert.equal(world.condition("Retained")?.status, "True");
    }),
    { numRuns: 200 },
  );
});
