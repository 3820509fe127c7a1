import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OperatorError } from "../core/errors.ts";
import { type MemoryStore, memoryStore } from "../store/memory/memory-store.fixture.ts";
import { putClaim } from "./catalog/claim.ts";
import { readFolder } from "./catalog/folder-backups.ts";
import { listBackups } from "./catalog/list.ts";
import { type StoredNames, addBackup } from "./manifest/manifest.fixture.ts";
import { removeWithoutHold } from "./remove-without-hold.ts";

const { signal } = new AbortController();

/** A store with three backups of the series lab, oldest first, in a folder that command lines have claimed. */
async function world(): Promise<{ store: MemoryStore; backups: StoredNames[]; names: string[] }> {
  const store = memoryStore();
  const backups = [1, 2, 3].map((n) =>
    addBackup(store, {
      time: `2026-08-2${n}T12:00:00Z`,
      revision: n,
      runId: `0f1e2d3c4b5ax${n}`,
      series: { name: "lab" },
    }),
  );
  await claim(store, 1);
  return { store, backups, names: backups.map(({ manifest }) => manifest.name) };
}

async function claim(
  store: MemoryStore,
  number: number,
  writer?: { id: string; who: string },
): Promise<void> {
  const base = { number, lineage: [{ id: "cafe", number: 0 }], since: "2026-08-20T12:00:00Z", reason: "r" };
  await putClaim(store, "prod", { ...base, ...(writer === undefined ? {} : { writer }) }, signal);
}

const operator = { id: "w1", who: "EtcdBackupStore ns/main" };
const removals = (store: MemoryStore) =>
  store.calls.flatMap((call) => (call.startsWith("remove ") ? [call.slice("remove ".length)] : []));

describe("a removal by a command line", () => {
  it("removes in the given order, each manifest before its data", async () => {
    const { store, backups, names } = await world();
    const { removed, failed } = await removeWithoutHold(store, {
      clusterName: "prod",
      names: names.slice(0, 2),
      signal,
    });
    assert.deepEqual([[...removed], failed.size], [names.slice(0, 2), 0]);
    assert.deepEqual(
      removals(store),
      backups.slice(0, 2).flatMap(({ object, data }) => [object, data]),
    );
  });

  it("leaves no listed backup without data, wherever the store fails", async () => {
    for (const at of [0, 1, 2, 3]) {
      const { store, names } = await world();
      let left = at;
      store.beforeCall = (call) => {
        if (call === "remove" && left-- === 0) throw new OperatorError("Unreachable", "reset");
      };
      const { removed, failed } = await removeWithoutHold(store, { clusterName: "prod", names, signal });
      assert.deepEqual([...removed], names.slice(0, Math.floor(at / 2)));
      assert.deepEqual([...failed.keys()], [names[Math.floor(at / 2)]], "the removal ends there");
      assert.ok((await listBackups(store, { signal })).every(({ problem }) => problem === undefined));
    }
  });

  it("goes on after a backup under object lock, and reports it", async () => {
    const { store, names } = await world();
    store.beforeCall = (call, name) => {
      if (call === "remove" && name.includes(names[0] ?? "")) throw new OperatorError("Refused", "locked");
    };
    const { removed, failed } = await removeWithoutHold(store, { clusterName: "prod", names, signal });
    assert.deepEqual([...removed], names.slice(1));
    assert.deepEqual(
      [...failed].map(([name, { code }]) => [name, code]),
      [[names[0], "Refused"]],
    );
  });

  it("ends when an operator takes the folder meanwhile", async () => {
    const { store, names } = await world();
    let taken: Promise<void> | undefined;
    store.beforeCall = (call) => (call === "remove" ? (taken ??= claim(store, 2, operator)) : undefined);
    const { removed, failed } = await removeWithoutHold(store, { clusterName: "prod", names, signal });
    assert.deepEqual([...removed], names.slice(0, 1));
    assert.deepEqual(
      [...failed.values()].map(({ code }) => code),
      ["FolderClaimed"],
    );
  });

  it("removes nothing beside a claim that cannot be read", async () => {
    const { store, names } = await world();
    store.objects.set("prod/claim/00000000000000000009.json", Buffer.from("<html>"));
    const { removed, failed } = await removeWithoutHold(store, { clusterName: "prod", names, signal });
    assert.deepEqual(
      [removed.size, [...failed.values()].map(({ code }) => code)],
      [0, ["VerificationFailed"]],
    );
  });
});

describe("the backups of a folder", () => {
  it("are those of a whole listing, with series, generation and problem", async () => {
    const { store, backups } = await world();
    store.objects.delete(backups[1]?.data ?? "");
    addBackup(store, { clusterId: "beef", time: "2026-08-24T12:00:00Z", runId: "0f1e2d3c4b5ax4" });
    addBackup(store, { clusterName: "prod-2" });
    const found = await readFolder(store, "prod", signal);
    assert.deepEqual(
      found.map(({ revision, generation, series, problem }) => [
        revision,
        generation,
        series?.name,
        problem?.replace(/object .* is/, "object is"),
      ]),
      [
        [42, undefined, undefined, undefined],
        [3, 0, "lab", undefined],
        [2, 0, "lab", "object is missing"],
        [1, 0, "lab", undefined],
      ],
    );
  });

  for (const call of ["list", "get"] as const)
    it(`are not fewer when a ${call} fails: it throws`, async () => {
      const { store } = await world();
      store.beforeCall = (made, name) => {
        if (made === call && !name.includes("/claim/")) throw new OperatorError("Unreachable", "reset");
      };
      await assert.rejects(readFolder(store, "prod", signal), { code: "Unreachable" });
    });
});
