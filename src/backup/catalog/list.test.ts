import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ErrorCode, OperatorError } from "../../core/errors.ts";
import { findBackup, listBackups, summarize } from "./list.ts";
import { type BackupIdentity, addBackup } from "../manifest/manifest.fixture.ts";
import { maxManifestSize } from "../manifest/manifest.ts";
import { type MemoryStore, memoryStore } from "../../store/memory/memory-store.fixture.ts";

const { signal } = new AbortController();

/** A store with a whole backup for each. */
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
    () => assert.fail("it was found"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof OperatorError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return error;
}

describe("a listing", () => {
  it("has the newest backup first, whatever cluster it is of", async () => {
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

  it("of one cluster holds no other's, not even of one whose name begins alike", async () => {
    const store = storeOf(day(1), day(2, { clusterName: "prod-2" }), day(3, { clusterName: "test" }));
    const entries = await listBackups(store, { clusterName: "prod", signal });
    assert.deepEqual(
      entries.map(({ clusterName }) => clusterName),
      ["prod"],
    );
  });

  it("of an empty store is empty", async () => {
    assert.deepEqual(await listBackups(memoryStore(), { signal }), []);
  });

  it("leaves out what is no backup: data without a manifest, and what others keep there", async () => {
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
      "data that is missing",
      (s, { data }) => void s.objects.delete(data),
      /^object prod\/.*\.db\.zst is missing$/,
      "read",
    ],
    [
      "data that is short",
      (s, { data }) => void s.objects.set(data, Buffer.from("dat")),
      /^object is 3 bytes, the manifest says 4$/,
      "read",
    ],
    [
      "a manifest that is none",
      (s, { object }) => void s.objects.set(object, Buffer.from("<html>")),
      /it is not JSON/,
      "read",
    ],
    [
      "a manifest that is cut",
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
      "the manifest of another",
      (s, { object }) =>
        void s.objects.set(object, s.objects.get(`prod/${dayName(1)}.json`) ?? assert.fail()),
      /copied or renamed/,
      "read",
    ],
    [
      "a manifest that is too long to be one",
      (s, { object }) => void s.objects.set(object, Buffer.alloc(maxManifestSize + 1)),
      /its manifest has 65537 bytes, more than 65536/,
      "unread",
    ],
  ];
  for (const [what, damage, problem, read] of problems) {
    it(`shows a backup with ${what}, with its problem, and the others beside it`, async () => {
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

  it("leaves out a backup that is removed while it is listed", async () => {
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
    it(`that cannot be finished fails, and is never taken for a short one (${call})`, async () => {
      const store = storeOf(day(1), day(2));
      store.beforeCall = (asked, name) => {
        if (asked === call && (call === "list" || name.includes("run1")))
          throw new OperatorError("Unreachable", "reset");
      };
      await rejects(listBackups(store, { signal }), "Unreachable", /reset/);
    });
  }

  it("is in order whichever manifest comes first, and asks for no more than eight at a time", async () => {
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

  it("stops when it is told to", async () => {
    const reason = new OperatorError("Aborted", "stopped by Ctrl-C");
    await rejects(listBackups(storeOf(day(1)), { signal: AbortSignal.abort(reason) }), "Aborted", /Ctrl-C/);
  });
});

describe("the backup that is asked for", () => {
  const find = (store: MemoryStore, name: string, clusterName?: string) =>
    findBackup(store, { name, signal, ...(clusterName === undefined ? {} : { clusterName }) });

  it("by `latest` is the newest, and no other manifest is read", async () => {
    const store = storeOf(day(1), day(3), day(2));
    const found = await find(store, "latest");
    assert.equal(found.name, dayName(3));
    assert.equal(found.manifest.snapshot.revision, 3);
    assert.deepEqual(found.passedOver, []);
    assert.deepEqual(readsOf(store), [`get prod/${dayName(3)}.json`]);
  });

  it("by `latest` is the newest that is whole, and those it steps over are told with their problems", async () => {
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

  it("by its name is that one, however old, and no other manifest is read", async () => {
    const store = storeOf(day(1), day(2), day(3));
    assert.equal((await find(store, dayName(1))).manifest.name, dayName(1));
    assert.deepEqual(readsOf(store), [`get prod/${dayName(1)}.json`]);
  });

  it("may be called as its data object is", async () => {
    const store = storeOf(day(1), day(2));
    assert.equal((await find(store, "20260801T120000Z-run1")).name, dayName(1));
  });

  it("is none for a part of its name", async () => {
    for (const part of [dayName(1).slice(0, -1), "run1", "20260801T120000Z", "", "latest "])
      await rejects(find(storeOf(day(1)), part), "NotFound", /there is no backup .*in memory:\/\/store/);
  });

  for (const [what, name, inTest] of [
    ["a name", dayName(1), 1],
    ["latest", "latest", 2],
  ] as const) {
    it(`has to be told by its cluster where two have one (${what})`, async () => {
      const store = storeOf(day(1), day(inTest, { clusterName: "test" }));
      const error = await rejects(
        find(store, name),
        "Usage",
        /of which cluster\? memory:\/\/store holds prod, test$/,
      );
      assert.equal(error.hint, "add --cluster-name");
      assert.deepEqual(readsOf(store), []);
      assert.equal((await find(store, name, "test")).clusterName, "test");
    });
  }

  it("is not there in an empty store, nor in another cluster, and the message says where was looked", async () => {
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

  it("fails verification when it has a problem, and says which", async () => {
    const store = storeOf(day(1));
    store.objects.delete(addBackup(store, day(2)).data);
    await rejects(
      find(store, dayName(2)),
      "VerificationFailed",
      new RegExp(`^backup ${dayName(2)} in memory://store: object .* is missing$`),
    );
  });

  it("by `latest` fails verification when none is whole, and tells of the newest", async () => {
    const store = memoryStore();
    store.objects.delete(addBackup(store, day(1)).data);
    store.objects.set(addBackup(store, day(2)).object, Buffer.from("?"));
    await rejects(
      find(store, "latest"),
      "VerificationFailed",
      /^none of the 2 backups in memory:\/\/store is complete; the newest: .*not JSON/,
    );
  });

  it("is not there when it is removed after it was listed", async () => {
    const store = storeOf(day(1));
    store.beforeCall = (call, name) => {
      if (call === "get") store.objects.delete(name);
    };
    await rejects(find(store, dayName(1)), "NotFound", /there is no backup/);
  });

  it("is not looked for any further when the store does not answer", async () => {
    const store = storeOf(day(1), day(2));
    store.beforeCall = (call, name) => {
      if (call === "get" && name.includes("run2")) throw new OperatorError("Unreachable", "reset");
    };
    await rejects(find(store, "latest"), "Unreachable", /reset/);
  });
});

describe("a summary", () => {
  it("counts every backup and names the newest that is whole, from one manifest", async () => {
    const store = storeOf(day(1), day(2), day(3, { clusterName: "lab" }));
    const { count, newest } = await summarize(store, { signal });
    assert.deepEqual([count, newest?.name, newest?.clusterName], [3, dayName(3), "lab"]);
    assert.equal(readsOf(store).length, 1);
  });

  it("counts a damaged backup, and does not call it the newest", async () => {
    const store = storeOf(day(1));
    store.objects.delete(addBackup(store, day(2)).data);
    const { count, newest } = await summarize(store, { signal });
    assert.deepEqual([count, newest?.name], [2, dayName(1)]);
  });

  it("of a store without backups has none", async () => {
    assert.deepEqual(await summarize(memoryStore(), { signal }), { count: 0, newest: undefined });
  });
});
