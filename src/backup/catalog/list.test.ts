import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ErrorCode, OperatorError } from "../../core/errors.ts";
import { findBackup } from "./find.ts";
import { listBackups } from "./list.ts";
import { type BackupIdentity, addBackup } from "../manifest/manifest.fixture.ts";
import { maxManifestSize } from "../manifest/manifest.ts";
import { type MemoryStore, memoryStore } from "../../store/memory/memory-store.fixture.ts";

const { signal } = new AbortController();

/** A store that holds these backups, all complete. */
function storeOf(...backups: BackupIdentity[]): MemoryStore {
  const store = memoryStore();
  for (const backup of backups) addBackup(store, backup);
  return store;
}

const day = (n: number, over: BackupIdentity = {}): BackupIdentity => ({
  time: `2026-08-${String(n).padStart(2, "0")}T12:00:00Z`,
  revision: n,
  runId: `run${n}`,
  ...over,
});
const dayName = (n: number) => {
  const two = String(n).padStart(2, "0");
  return `202608${two}T120000Z-r000000000000000000${two}-run${n}`;
};

const readsOf = (store: MemoryStore) => store.calls.filter((call) => call.startsWith("get "));

async function rejects(promise: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<OperatorError> {
  const error: unknown = await promise.then(
    () => assert.fail("a backup was found"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof OperatorError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return error;
}

describe("listBackups", () => {
  it("lists the newest backup first, across clusters", async () => {
    const store = storeOf(day(2), day(3, { clusterName: "a" }), day(1, { clusterName: "z" }));
    const entries = await listBackups(store, { signal });
    assert.deepEqual(
      entries.map(({ name, clusterName, time, revision, problem }) => [
        name,
        clusterName,
        time.getUTCDate(),
        revision,
        problem,
      ]),
      [
        [dayName(3), "a", 3, 3, undefined],
        [dayName(2), "prod", 2, 2, undefined],
        [dayName(1), "z", 1, 1, undefined],
      ],
    );
    assert.deepEqual(
      entries.map(({ manifest }) => manifest?.name),
      entries.map(({ name }) => name),
    );
  });

  it("lists only the given cluster, and not one with the same prefix in its name", async () => {
    const store = storeOf(day(1), day(2, { clusterName: "prod-2" }), day(3, { clusterName: "test" }));
    const entries = await listBackups(store, { clusterName: "prod", signal });
    assert.deepEqual(
      entries.map(({ clusterName }) => clusterName),
      ["prod"],
    );
  });

  it("lists nothing in an empty store", async () => {
    assert.deepEqual(await listBackups(memoryStore(), { signal }), []);
  });

  it("leaves out data without a manifest, and objects with other names", async () => {
    const store = storeOf(day(1));
    const { data, object } = addBackup(store, day(2));
    store.objects.delete(object);
    for (const other of [
      "notes.json",
      "prod/notes.json",
      "prod/latest.json",
      `deep/${object}`,
      `${object}.bak`,
      `${data}.part`,
    ])
      store.objects.set(other, Buffer.from("{}"));
    assert.deepEqual(
      (await listBackups(store, { signal })).map(({ name }) => name),
      [dayName(1)],
    );
  });

  const problems: [
    string,
    (store: MemoryStore, names: ReturnType<typeof addBackup>) => void,
    RegExp,
    "read" | "unread",
  ][] = [
    [
      "missing data",
      (s, { data }) => void s.objects.delete(data),
      /^object prod\/.*\.db\.zst is missing$/,
      "read",
    ],
    [
      "truncated data",
      (s, { data }) => void s.objects.set(data, Buffer.from("dat")),
      /^object is 3 bytes, the manifest says 4$/,
      "read",
    ],
    [
      "a manifest that is not JSON",
      (s, { object }) => void s.objects.set(object, Buffer.from("<html>")),
      /it is not JSON/,
      "read",
    ],
    [
      "a truncated manifest",
      (s, { object }) => void s.objects.set(object, s.objects.get(object)?.subarray(0, 500) ?? assert.fail()),
      /it is not JSON/,
      "read",
    ],
    [
      "a manifest of a later release",
      (s, { object }) => void s.objects.set(object, Buffer.from('{"formatVersion":7}')),
      /format version 7 is not supported/,
      "read",
    ],
    [
      "the manifest of another backup",
      (s, { object }) =>
        void s.objects.set(object, s.objects.get(`prod/${dayName(1)}.json`) ?? assert.fail()),
      /copied or renamed/,
      "read",
    ],
    [
      "a manifest that is too large",
      (s, { object }) => void s.objects.set(object, Buffer.alloc(maxManifestSize + 1)),
      /its manifest has 262145 bytes, more than 262144/,
      "unread",
    ],
  ];
  for (const [what, damage, problem, read] of problems) {
    it(`lists a backup with ${what} with its problem, and the other backups`, async () => {
      const store = storeOf(day(1));
      const names = addBackup(store, day(2));
      damage(store, names);
      const [first, second, ...more] = await listBackups(store, { signal });
      assert.equal(first?.name, dayName(2));
      assert.match(first?.problem ?? "", problem);
      assert.deepEqual([second?.name, second?.problem, more], [dayName(1), undefined, []]);
      assert.equal(readsOf(store).includes(`get ${names.object}`), read === "read");
    });
  }

  it("leaves out a backup that is deleted during the listing", async () => {
    const store = storeOf(day(1), day(2));
    store.beforeCall = (call, name) => {
      if (call === "get" && name.includes(dayName(2))) store.objects.delete(name);
    };
    assert.deepEqual(
      (await listBackups(store, { signal })).map(({ name }) => name),
      [dayName(1)],
    );
  });

  for (const call of ["list", "get"] as const) {
    it(`throws when a ${call} fails, and returns no partial list`, async () => {
      const store = storeOf(day(1), day(2));
      store.beforeCall = (asked, name) => {
        if (asked === call && (call === "list" || name.includes("run1")))
          throw new OperatorError("Unreachable", "reset");
      };
      await rejects(listBackups(store, { signal }), "Unreachable", /reset/);
    });
  }

  it("keeps the order whichever manifest arrives first, and reads eight at a time at most", async () => {
    const days = Array.from({ length: 20 }, (_, n) => n + 1);
    const store = storeOf(...days.map((n) => day(n)));
    let waiting: (() => void)[] = [];
    let most = 0;
    store.beforeCall = async (call) => {
      if (call !== "get") return;
      const turn = Promise.withResolvers<void>();
      if (waiting.push(turn.resolve) === 1)
        setImmediate(() => {
          const now = waiting.toReversed();
          waiting = [];
          most = Math.max(most, now.length);
          for (const resolve of now) resolve();
        });
      await turn.promise;
    };
    const entries = await listBackups(store, { signal });
    assert.deepEqual(
      entries.map(({ name }) => name),
      days.toReversed().map(dayName),
    );
    assert.ok(most > 1 && most <= 8, `${most} at a time`);
  });

  it("rejects with the reason of its signal", async () => {
    const reason = new OperatorError("Aborted", "stopped by Ctrl-C");
    await rejects(listBackups(storeOf(day(1)), { signal: AbortSignal.abort(reason) }), "Aborted", /Ctrl-C/);
  });
});

describe("findBackup", () => {
  const find = (store: MemoryStore, name: string, clusterName?: string) =>
    findBackup(store, { name, signal, ...(clusterName === undefined ? {} : { clusterName }) });

  it("finds the newest by `latest`, and reads no other manifest", async () => {
    const store = storeOf(day(1), day(3), day(2));
    const found = await find(store, "latest");
    assert.equal(found.name, dayName(3));
    assert.equal(found.manifest.snapshot.revision, 3);
    assert.deepEqual(found.passedOver, []);
    assert.deepEqual(readsOf(store), [`get prod/${dayName(3)}.json`]);
  });

  it("finds the newest complete backup by `latest`, and returns the skipped ones with their problems", async () => {
    const store = storeOf(day(1), day(2));
    store.objects.delete(addBackup(store, day(3)).data);
    store.objects.set(addBackup(store, day(4)).object, Buffer.from("?"));
    const found = await find(store, "latest");
    assert.equal(found.name, dayName(2));
    assert.deepEqual(
      found.passedOver.map(({ name }) => name),
      [dayName(4), dayName(3)],
    );
    assert.ok(found.passedOver.every(({ problem }) => problem !== undefined));
    assert.equal(readsOf(store).length, 3);
  });

  it("finds a backup by its name, however old, and reads no other manifest", async () => {
    const store = storeOf(day(1), day(2), day(3));
    assert.equal((await find(store, dayName(1))).manifest.name, dayName(1));
    assert.deepEqual(readsOf(store), [`get prod/${dayName(1)}.json`]);
  });

  it("finds a backup by the name of its data object", async () => {
    const store = storeOf(day(1), day(2));
    assert.equal((await find(store, "20260801T120000Z-run1")).name, dayName(1));
  });

  it("finds nothing by a part of a name", async () => {
    for (const part of [dayName(1).slice(0, -1), "run1", "20260801T120000Z", "", "latest "])
      await rejects(find(storeOf(day(1)), part), "NotFound", /there is no backup .*in memory:\/\/store/);
  });

  for (const [what, name, inTest, holds] of [
    ["a name", dayName(1), 1, `backup ${dayName(1)} of several clusters`],
    ["latest", "latest", 2, "several clusters"],
  ] as const) {
    it(`needs the cluster when two clusters have a match (${what})`, async () => {
      const store = storeOf(day(1), day(inTest, { clusterName: "test" }));
      const error = await rejects(
        find(store, name),
        "Usage",
        new RegExp(`^the store memory://store holds ${holds}: prod, test$`),
      );
      assert.equal(error.hint, "add --cluster-name");
      assert.deepEqual(readsOf(store), []);
      assert.equal((await find(store, name, "test")).clusterName, "test");
    });
  }

  it("throws NotFound in an empty store or another cluster, with the place that was searched", async () => {
    await rejects(find(memoryStore(), "latest"), "NotFound", /^there is no backup in memory:\/\/store$/);
    await rejects(
      find(storeOf(day(1)), "latest", "test"),
      "NotFound",
      /^there is no backup in memory:\/\/store, cluster test$/,
    );
    const error = await rejects(
      find(storeOf(day(1)), dayName(2)),
      "NotFound",
      new RegExp(`^there is no backup ${dayName(2)} in`),
    );
    assert.match(error.hint ?? "", /etcd-backup list/);
  });

  it("throws VerificationFailed for a backup with a problem, and names the problem", async () => {
    const store = storeOf(day(1));
    store.objects.delete(addBackup(store, day(2)).data);
    await rejects(
      find(store, dayName(2)),
      "VerificationFailed",
      new RegExp(`^backup ${dayName(2)} in memory://store: object .* is missing$`),
    );
  });

  it("throws VerificationFailed by `latest` when no backup is complete, with the newest one's problem", async () => {
    const store = memoryStore();
    store.objects.delete(addBackup(store, day(1)).data);
    store.objects.set(addBackup(store, day(2)).object, Buffer.from("?"));
    await rejects(
      find(store, "latest"),
      "VerificationFailed",
      /^none of the 2 backups in memory:\/\/store is complete; the newest: .*not JSON/,
    );
  });

  it("throws NotFound for a backup that is deleted after the listing", async () => {
    const store = storeOf(day(1));
    store.beforeCall = (call, name) => {
      if (call === "get") store.objects.delete(name);
    };
    await rejects(find(store, dayName(1)), "NotFound", /there is no backup/);
  });

  it("stops searching when the store does not answer", async () => {
    const store = storeOf(day(1), day(2));
    store.beforeCall = (call, name) => {
      if (call === "get" && name.includes("run2")) throw new OperatorError("Unreachable", "reset");
    };
    await rejects(find(store, "latest"), "Unreachable", /reset/);
  });
});
