import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { RetentionPolicy } from "../../api/v1alpha1/retention.ts";
import type { Series } from "../backup/series.ts";
import { keptByOracle } from "./oracle.fixture.ts";
import { type RetentionPlan, planRetention } from "./plan.ts";
import type { RetainableBackup } from "./retainable.ts";

const series: Series = { name: "prod", namespace: "ops", kubernetesCluster: "here" };
const foreignSeries: (Series | undefined)[] = [
  undefined,
  { name: "prod" },
  { ...series, name: "other" },
  { ...series, kubernetesCluster: "there" },
];
const hourMs = 3_600_000;
const start = Date.UTC(2024, 11, 20);
/** Zones whose clocks do not change. */
const steadyZones = ["UTC", "Asia/Kolkata", "Pacific/Kiritimati"];
const zones = [...steadyZones, "Europe/Berlin", "America/St_Johns"];

interface Drawn {
  gapMs: number;
  kind: "own" | "foreign" | "stranger" | "damaged";
  origin: Series | undefined;
  isRestored: boolean;
  clockErrorMs: number;
}

/** Gaps of minutes to months, so that buckets of every size are shared and skipped. */
const gaps = fc
  .oneof(
    fc.integer({ min: 1, max: 60 }),
    fc.integer({ min: 1, max: 3000 }),
    fc.integer({ min: 1, max: 90_000 }),
  )
  .map((minutes) => minutes * 60_000);

function draws({ kinds, clocks }: { kinds: Drawn["kind"][]; clocks: "right" | "wrong" }) {
  return fc.array(
    fc.record<Drawn>({
      gapMs: gaps,
      kind: fc.constantFrom(...kinds),
      origin: fc.constantFrom(...foreignSeries),
      isRestored: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
      clockErrorMs:
        clocks === "right"
          ? fc.constant(0)
          : fc.integer({ min: -2000, max: 2000 }).map((hours) => hours * hourMs),
    }),
    { maxLength: 40 },
  );
}

/** The backups of a folder in the order in which they were made. A restore begins a generation of lower revisions. */
function history(drawn: readonly Drawn[]): RetainableBackup[] {
  let at = start;
  let generation = 0;
  let revision = 1000;
  return drawn.map(({ gapMs, kind, origin, isRestored, clockErrorMs }, index) => {
    at += gapMs;
    if (isRestored) generation += 1;
    revision = isRestored ? 10 : revision + 1;
    return {
      name: `b${index}`,
      time: new Date(at + clockErrorMs),
      storedAt: new Date(at),
      revision,
      generation: kind === "stranger" ? undefined : generation,
      series: kind === "foreign" ? origin : series,
      problem: kind === "damaged" ? "the data is gone" : undefined,
    };
  });
}

const every: Drawn["kind"][] = ["own", "own", "own", "foreign", "stranger", "damaged"];
const histories = draws({ kinds: every, clocks: "wrong" }).map(history);
const counts = fc.integer({ min: 1, max: 4 });
const calendarRules = {
  keepLast: counts,
  keepHourly: counts,
  keepDaily: counts,
  keepWeekly: counts,
  keepMonthly: counts,
  keepYearly: counts,
};
const calendarPolicies: fc.Arbitrary<RetentionPolicy> = fc.record(calendarRules, { requiredKeys: [] });
function policiesWithin(...texts: string[]): fc.Arbitrary<RetentionPolicy> {
  return fc.record({ ...calendarRules, keepWithin: fc.constantFrom(...texts) }, { requiredKeys: [] });
}
const policies = policiesWithin("5h", "36h", "3d", "2w", "1m", "1y");
const timeZones = fc.constantFrom(...zones);
const steady = fc.constantFrom(...steadyZones);

function planOf(
  backups: readonly RetainableBackup[],
  policy: RetentionPolicy,
  timeZone: string,
): RetentionPlan {
  return planRetention(backups, { policy, series, timeZone });
}

const keptNames = ({ kept }: RetentionPlan) => kept.map(({ backup }) => backup.name);
const removedNames = ({ removed }: RetentionPlan) => removed.map(({ backup }) => backup.name);
const isOwn = ({ series: of, generation, problem }: RetainableBackup) =>
  of === series && generation !== undefined && problem === undefined;

describe("any plan of retention", () => {
  it("keeps or removes each backup once, with a reason", () => {
    fc.assert(
      fc.property(histories, policies, timeZones, (backups, policy, zone) => {
        const plan = planOf(backups, policy, zone);
        assert.deepEqual(
          [...keptNames(plan), ...removedNames(plan)].toSorted(),
          backups.map(({ name }) => name).toSorted(),
        );
        for (const { reasons } of plan.kept) assert.ok(reasons.length > 0 && !reasons.includes(""));
        for (const { reason } of plan.removed) assert.match(reason, /^no rule keeps it/);
      }),
    );
  });

  it("keeps by keepWithin what was stored within that time, whatever the clocks said", () => {
    fc.assert(
      fc.property(histories, timeZones, (backups, zone) => {
        const kept = keptNames(planOf(backups, { keepWithin: "36h" }, zone));
        const begin = (backups.findLast(isOwn)?.storedAt.getTime() ?? 0) - 36 * 3_600_000;
        for (const { name, storedAt } of backups.filter(isOwn))
          if (storedAt.getTime() > begin) assert.ok(kept.includes(name), name);
      }),
    );
  });

  it("removes only sound backups of the series", () => {
    fc.assert(
      fc.property(histories, policies, timeZones, (backups, policy, zone) => {
        for (const { backup } of planOf(backups, policy, zone).removed) assert.ok(isOwn(backup), backup.name);
      }),
    );
  });

  it("keeps the newest sound backup of the series and of the folder", () => {
    fc.assert(
      fc.property(histories, policies, timeZones, (backups, policy, zone) => {
        const removed = removedNames(planOf(backups, policy, zone));
        // A history is in the order of age: the last one is the newest.
        for (const newest of [
          backups.findLast(isOwn),
          backups.findLast(({ problem, generation }) => problem === undefined && generation !== undefined),
          backups.findLast(({ problem }) => problem === undefined),
        ])
          assert.ok(newest === undefined || !removed.includes(newest.name), newest?.name);
      }),
    );
  });

  it("keeps what the rules keep, each read by itself in another way, and nothing else of the series", () => {
    fc.assert(
      fc.property(histories, policies, steady, (backups, policy, zone) => {
        const own = backups.filter(isOwn).toReversed();
        const expected = keptByOracle(own, policy, zone);
        const plan = planOf(backups, policy, zone);
        assert.deepEqual(
          plan.kept.filter(({ backup }) => isOwn(backup)).map(({ backup }) => backup.name),
          own.filter(({ name }) => expected.has(name)).map(({ name }) => name),
        );
      }),
      { numRuns: 500 },
    );
  });

  it("keeps what the rules of the calendar and hours keep also where the clocks change", () => {
    fc.assert(
      fc.property(histories, policiesWithin("5h", "36h"), timeZones, (backups, policy, zone) => {
        const expected = keptByOracle(backups.filter(isOwn).toReversed(), policy, zone);
        const kept = planOf(backups, policy, zone).kept.filter(({ backup }) => isOwn(backup));
        assert.deepEqual(new Set(kept.map(({ backup }) => backup.name)), expected);
      }),
      { numRuns: 300 },
    );
  });

  it("removes nothing of what it has kept", () => {
    fc.assert(
      fc.property(histories, policies, timeZones, (backups, policy, zone) => {
        const once = planOf(backups, policy, zone);
        const again = planOf(
          once.kept.map(({ backup }) => backup),
          policy,
          zone,
        );
        assert.deepEqual(again, { kept: once.kept, removed: [] });
      }),
    );
  });

  it("does not depend on the order in which the backups are listed", () => {
    const shuffled = histories.chain((backups) =>
      fc.tuple(
        fc.constant(backups),
        fc.shuffledSubarray(backups, { minLength: backups.length, maxLength: backups.length }),
      ),
    );
    fc.assert(
      fc.property(shuffled, policies, timeZones, ([backups, listed], policy, zone) => {
        assert.deepEqual(planOf(listed, policy, zone), planOf(backups, policy, zone));
      }),
    );
  });

  it("does not depend on that order where backups differ by name alone", () => {
    const of = (name: string) => ({
      name,
      time: new Date(start),
      storedAt: new Date(start),
      revision: 1,
      generation: 0,
      series,
      problem: undefined,
    });
    for (const listed of [
      [of("a"), of("b")],
      [of("b"), of("a")],
    ])
      assert.deepEqual(keptNames(planOf(listed, { keepLast: 1 }, "UTC")), ["b"]);
  });

  it("is the same for the series whatever else the folder holds", () => {
    fc.assert(
      fc.property(histories, policies, timeZones, (backups, policy, zone) => {
        const mixed = planOf(backups, policy, zone);
        const alone = planOf(backups.filter(isOwn), policy, zone);
        assert.deepEqual(
          { kept: mixed.kept.filter(({ backup }) => isOwn(backup)), removed: mixed.removed },
          alone,
        );
      }),
    );
  });

  it("does not change the list that it is given", () => {
    fc.assert(
      fc.property(histories, policies, (backups, policy) => {
        const before = structuredClone(backups);
        planOf(backups, policy, "UTC");
        assert.deepEqual(backups, before);
      }),
    );
  });
});

/**
 * A later plan keeps no more of the same backups than an earlier one did. This holds for the rules of the calendar with any
 * clocks. With keepWithin it holds while its begin does not go back: the clocks are right, and the zone's clock and the
 * lengths of months do not matter.
 */
const laterPlans: [when: string, fc.Arbitrary<[RetainableBackup[], RetentionPolicy, string]>][] = [
  ["by rules of the calendar whatever the clocks say", fc.tuple(histories, calendarPolicies, timeZones)],
  [
    "by any rules up to weeks while the clocks are right",
    fc.tuple(
      draws({ kinds: every, clocks: "right" }).map(history),
      policiesWithin("5h", "36h", "3d", "2w"),
      steady,
    ),
  ],
];

describe("a later plan of retention", () => {
  for (const [when, cases] of laterPlans) {
    it(`also removes what an earlier one has removed, ${when}`, () => {
      fc.assert(
        fc.property(cases, ([backups, policy, zone]) => {
          const later = new Set(removedNames(planOf(backups, policy, zone)));
          const earlier = removedNames(planOf(backups.slice(0, -1), policy, zone));
          assert.deepEqual(
            earlier.filter((name) => !later.has(name)),
            [],
          );
        }),
        { numRuns: 300 },
      );
    });

    it(`keeps the same when there was a removal after each backup, ${when}`, () => {
      fc.assert(
        fc.property(cases, ([backups, policy, zone]) => {
          let folder: RetainableBackup[] = [];
          for (const backup of backups)
            folder = planOf([...folder, backup], policy, zone).kept.map((entry) => entry.backup);
          assert.deepEqual(
            folder.map(({ name }) => name),
            keptNames(planOf(backups, policy, zone)),
          );
        }),
      );
    });
  }
});

describe("a policy that cannot be read", () => {
  const [backup] = history([
    { gapMs: 0, kind: "own", origin: undefined, isRestored: false, clockErrorMs: 0 },
  ]);
  assert.ok(backup);

  it("gives no plan, so that nothing is removed, and says which field is wrong", () => {
    assert.throws(() => planOf([backup], { keepLast: 1, keepWithin: "7 days" }, "UTC"), {
      name: "OperatorError",
      code: "InvalidConfiguration",
      message: /^keepWithin is "7 days" and must be a time such as 36h/,
    });
  });

  it("gives no plan for a time zone that does not exist", () => {
    for (const zone of ["Europe/Atlantis", "", "local"])
      assert.throws(() => planOf([backup], { keepDaily: 1 }, zone), {
        code: "InvalidConfiguration",
        message: `"${zone}" is not a time zone`,
      });
  });
});
