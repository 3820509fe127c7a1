import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { formatBackupName } from "../backup/name.ts";
import {
  type CatalogedBackup,
  type ImportedRecord,
  type ObservedRecords,
  countAbsences,
  importAnnotation,
  planRecords,
  recordName,
} from "./records.ts";
import { storeOf } from "./store.fixture.ts";

const begin = Date.parse("2026-08-20T12:00:00Z");
const hourMs = 3_600_000;
const location = "file:///backups";

function backupAt(hour: number, clusterName = "prod", hasData = true): CatalogedBackup {
  const time = new Date(begin + hour * hourMs);
  const name = formatBackupName({ time, revision: hour, runId: "0f1e2d3c4b5ax1" });
  return { clusterName, name, modified: time.getTime(), hasData };
}

function recordOf(
  { clusterName, name }: CatalogedBackup,
  over: Partial<ImportedRecord> = {},
): ImportedRecord {
  const ofObject = recordName({ clusterName, name });
  const record = { name: ofObject, uid: ofObject, store: "s", clusterName, backup: name };
  return { ...record, storeURL: location, ...over };
}

/** The plan for backups of these hours. `known`: those that an EtcdBackup made. */
function plan(over: Partial<ObservedRecords> & { known?: CatalogedBackup[] } = {}) {
  const { known = [], records = [], ...rest } = over;
  const placeOf = (backup: { clusterName: string; name: string }) => `${backup.clusterName}/${backup.name}`;
  const recorded = records.map(({ clusterName, backup }) => ({ clusterName, name: backup }));
  const places = new Set([...known, ...recorded].map(placeOf));
  const observed = {
    store: storeOf(),
    location,
    backups: [],
    isHandled: () => false,
    isKnown: (backup: CatalogedBackup) => places.has(placeOf(backup)),
    now: new Date(begin + 1000 * hourMs),
    ...rest,
    records,
  };
  return planRecords(observed);
}

const hours = (backups: readonly CatalogedBackup[]) =>
  backups.map(({ modified }) => (modified - begin) / hourMs);

describe("the plan of a store's records", () => {
  it("imports the newest of each cluster, up to the limit", () => {
    const backups = [backupAt(1), backupAt(2), backupAt(3), backupAt(4, "lab"), backupAt(5, "lab")];
    const { create } = plan({ backups, store: storeOf({ catalog: { importLimit: 2 } }) });
    assert.deepEqual(
      create.map(({ clusterName, modified }) => [clusterName, (modified - begin) / hourMs]),
      [
        ["prod", 3],
        ["prod", 2],
        ["lab", 5],
        ["lab", 4],
      ],
    );
  });

  it("imports nothing that an EtcdBackup has made or records, and no backup without data", () => {
    const [a, b, c] = [backupAt(1), backupAt(2), backupAt(3, "prod", false)];
    assert.deepEqual(plan({ backups: [a, b, c], known: [a], records: [recordOf(b)] }).create, []);
  });

  it("imports only the clusters of clusterNames, and none whose name is not valid", () => {
    const backups = [backupAt(1), backupAt(2, "lab"), backupAt(3, "-x"), backupAt(4, "X")];
    const { create } = plan({ backups, store: storeOf({ catalog: { clusterNames: ["lab", "X"] } }) });
    assert.deepEqual(hours(create), [2]);
    assert.deepEqual(hours(plan({ backups }).create), [1, 2]);
  });

  it("imports nothing with import false, and goes on later from where it was", () => {
    const before = plan({ backups: [backupAt(1), backupAt(2)] }).next;
    const off = storeOf({ catalog: { import: false }, status: { catalog: before } });
    const during = plan({ backups: [backupAt(1), backupAt(9)], store: off });
    assert.deepEqual([during.create, during.trim, during.next], [[], [], before]);
    const on = storeOf({ status: { catalog: during.next } });
    assert.deepEqual(hours(plan({ backups: [backupAt(1), backupAt(9)], store: on }).create), [9]);
  });

  it("never imports again a backup on which it has decided, so a record that a person deletes stays away", () => {
    const backups = [backupAt(1), backupAt(2)];
    const { next } = plan({ backups });
    assert.equal(next.importedUntil, "2026-08-20T13:55:00Z");
    const store = storeOf({ status: { catalog: next } });
    assert.deepEqual(plan({ backups, store }).create, []);
    assert.deepEqual(hours(plan({ backups: [...backups, backupAt(3)], store }).create), [3]);
    const between = backupAt(2 - 4 / 60);
    assert.deepEqual(plan({ backups: [...backups, between], store }).create, [between]);
    const isHandled = ({ name }: CatalogedBackup) => name === backups[1]?.name;
    assert.deepEqual(hours(plan({ backups, isHandled }).create), [1]);
  });

  it("names what the time does not rule out yet, in status the newest 500", () => {
    const minutesLater = (minutes: number) => backupAt(2 + minutes / 60);
    const { recent, next } = plan({
      backups: [backupAt(1), backupAt(2), minutesLater(-4), minutesLater(-6)],
    });
    assert.deepEqual(hours(recent), [2, 2 - 4 / 60]);
    assert.equal(next.importedRecently?.length, 2);
    const many = Array.from({ length: 600 }, (_, at) => ({ ...backupAt(2), clusterName: `c${at}` }));
    const oldest = { ...minutesLater(-4), clusterName: "old" };
    const { next: most } = plan({ backups: [oldest, ...many] });
    assert.equal(most.importedRecently?.length, 500);
    assert.ok(!most.importedRecently.includes(plan({ backups: [oldest] }).next.importedRecently?.[0] ?? ""));
  });

  it("goes by the newest time of an earlier listing once no server can name a time before it", () => {
    const backups = [backupAt(1), backupAt(2)];
    const { newest } = plan({ backups });
    const { next, recent } = plan({ backups: [...backups, backupAt(2 + 1 / 60)], settled: newest });
    assert.equal(next.importedUntil, "2026-08-20T14:00:00Z");
    assert.deepEqual(hours(recent), [2 + 1 / 60]);
    const halfSecond = { ...backupAt(2), modified: begin + 500 };
    const after = plan({ backups: [halfSecond], settled: halfSecond.modified }).next;
    const store = storeOf({ status: { catalog: after } });
    assert.deepEqual(plan({ backups: [halfSecond], store }).create, [], "status holds whole seconds");
  });

  it("imports again what was deleted when a person asks, or changes what is imported", () => {
    const backups = [backupAt(1), backupAt(2)];
    const catalog = plan({ backups }).next;
    const asked = storeOf({ metadata: { annotations: { [importAnnotation]: "once" } }, status: { catalog } });
    const again = plan({ backups, store: asked });
    assert.deepEqual(hours(again.create), [2, 1]);
    assert.equal(again.next.lastHandledImport, "once");
    const done = { ...asked, status: { ...asked.status, catalog: again.next } };
    assert.deepEqual(hours(plan({ backups: [backupAt(1)], store: done }).create), []);
    const fewer = storeOf({ catalog: { importLimit: 1 }, status: { catalog } });
    assert.deepEqual(hours(plan({ backups, store: fewer }).create), [2]);
  });

  it("is not misled by a time in the future: later backups are still imported", () => {
    const now = new Date(begin + 10 * hourMs);
    const { next } = plan({ backups: [backupAt(1), backupAt(900)], now });
    assert.equal(next.importedUntil, "2026-08-20T21:55:00Z");
  });

  it("trims the oldest records of a cluster when newer backups come", () => {
    const backups = [1, 2, 3].map((hour) => backupAt(hour));
    const records = backups.slice(0, 2).map((backup) => recordOf(backup));
    const { create, trim } = plan({ backups, records, store: storeOf({ catalog: { importLimit: 2 } }) });
    assert.deepEqual([hours(create), trim.map(({ backup }) => backup)], [[3], [backups[0]?.name]]);
  });

  it("finds the records whose backup is gone, also with import false, and no others", () => {
    const gone = recordOf(backupAt(1));
    const elsewhere = recordOf(backupAt(2), { storeURL: "file:///old" });
    const byHand = recordOf(backupAt(3), { name: "by-hand" });
    const unread = recordOf(backupAt(4), { storeURL: undefined });
    for (const store of [storeOf(), storeOf({ catalog: { import: false } })]) {
      const { absent, trim } = plan({ store, records: [gone, elsewhere, byHand, unread] });
      assert.deepEqual([absent, trim], [[gone, unread], []]);
    }
  });

  it("makes no more than 10,000 records of one store", () => {
    const backups = Array.from({ length: 400 }, (_, at) =>
      Array.from({ length: 30 }, (__, hour) => backupAt(hour, `c${at}`)),
    ).flat();
    const records = backups.slice(0, 15).map((backup) => recordOf(backup));
    assert.equal(plan({ backups, records }).create.length, 10_000 - 15);
  });
});

describe("the absence of a backup", () => {
  const [a, b] = [recordOf(backupAt(1)), recordOf(backupAt(2))];

  it("ends its record after two complete listings in a row", () => {
    const first = countAbsences([a, b], new Map());
    assert.deepEqual(first.gone, []);
    const second = countAbsences([a], first.counts);
    assert.deepEqual(second.gone, [a]);
    assert.deepEqual(countAbsences([b], second.counts).gone, [], "it was there in between");
  });
});

describe("the name of a record", () => {
  const object = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

  it("is that of the cluster and the backup", () => {
    const name = "20260820T120000Z-r00000000000000000042-0f1e2d3c4b5ax1";
    assert.equal(recordName({ clusterName: "prod.eu", name }), `prod.eu-${name.toLowerCase()}`);
    assert.match(recordName({ clusterName: "a-.b", name }), /^cluster-[0-9a-f]{16}-20260820t120000z-r0/);
  });

  it("is valid, at most 160 characters long, and another one for each backup", () => {
    const letters = fc.constantFrom("a", "b", "0", ".", "-");
    const cluster = fc.array(letters, { minLength: 1, maxLength: 63 }).map((all) => all.join(""));
    const run = fc.tuple(fc.integer({ min: 0, max: 99 }), fc.stringMatching(/^[a-z0-9]{4,40}$/));
    const named = fc.tuple(cluster, run).map(([clusterName, [revision, runId]]) => ({
      clusterName,
      name: formatBackupName({ time: new Date(begin), revision, runId }),
    }));
    fc.assert(
      fc.property(named, named, (one, other) => {
        for (const backup of [one, other]) {
          assert.match(recordName(backup), object);
          assert.ok(recordName(backup).length <= 160);
        }
        const isSame = one.clusterName === other.clusterName && one.name === other.name;
        assert.equal(recordName(one) === recordName(other), isSame);
      }),
    );
  });
});
