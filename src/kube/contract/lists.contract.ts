import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Api, backupKind, call, existing, minimalBackup } from "./objects.fixture.ts";
import type { Listed } from "../list.ts";
import { configMaps, objectKey, type KubeObject } from "../objects.ts";

const namesOf = ({ items }: Listed<KubeObject>) => items.map(({ metadata }) => metadata.name);

export function listRules(api: Api): void {
  describe("a list", () => {
    it("holds the objects of one namespace, or of all, as get reads them", async () => {
      const [one, two] = [await api.namespace(), await api.namespace()];
      const refs = [
        { namespace: one, name: "b" },
        { namespace: one, name: "a" },
        { namespace: two, name: "a" },
      ];
      for (const ref of refs) await api.client.create(backupKind, minimalBackup(ref), call);
      const inOne = await api.client.list(backupKind, { namespace: one, ...call });
      assert.deepEqual(namesOf(inOne), ["a", "b"]);
      assert.deepEqual(inOne.items[0], await existing(api.client, backupKind, { namespace: one, name: "a" }));
      const everywhere = (await api.client.list(backupKind, call)).items.map((item) =>
        objectKey(item.metadata),
      );
      for (const ref of refs) assert.ok(everywhere.includes(objectKey(ref)), objectKey(ref));
    });

    it("has apiVersion and kind in each object of a built-in kind, too", async () => {
      const namespace = await api.namespace();
      await api.client.create(configMaps, { metadata: { namespace, name: "a" } }, call);
      const { items } = await api.client.list(configMaps, { namespace, ...call });
      const created = items.find(({ metadata }) => metadata.name === "a");
      assert.deepEqual([created?.apiVersion, created?.kind], ["v1", "ConfigMap"]);
    });

    it("of nothing is empty", async () => {
      const namespace = await api.namespace();
      assert.deepEqual((await api.client.list(backupKind, { namespace, ...call })).items, []);
    });

    it("is complete and holds each object once when it takes several pages", async () => {
      const namespace = await api.namespace();
      const names = Array.from({ length: 7 }, (_, i) => `a${i}`);
      for (const name of names) {
        await api.client.create(configMaps, { metadata: { namespace, name, labels: { pages: "" } } }, call);
      }
      const paged = { namespace, labelSelector: "pages", limit: 3, ...call };
      assert.deepEqual(namesOf(await api.client.list(configMaps, paged)), names);
    });
  });
}

export function selectorRules(api: Api): void {
  describe("a label selector", () => {
    const cases: [string, string[]][] = [
      ["app=etcd", ["a", "b"]],
      ["app==etcd", ["a", "b"]],
      ["app=etcd,member=m0", ["a"]],
      ["app!=etcd", ["c", "d"]],
      ["app", ["a", "b", "c"]],
      ["!app", ["d"]],
      ["member in (m0, m1)", ["a", "b"]],
      ["member notin (m0,m1)", ["c", "d"]],
      ["app=etcd,member notin (m1)", ["a"]],
      ["etcdbackup.dev/empty=", ["d"]],
      ["app=nothing", []],
    ];
    it("chooses by equality, by set and by presence", async () => {
      const namespace = await api.namespace();
      const all: Record<string, Record<string, string>> = {
        a: { app: "etcd", member: "m0" },
        b: { app: "etcd", member: "m1" },
        c: { app: "other" },
        d: { "etcdbackup.dev/empty": "" },
      };
      for (const [name, labels] of Object.entries(all)) {
        await api.client.create(backupKind, minimalBackup({ namespace, name }, { labels }), call);
      }
      for (const [labelSelector, names] of cases) {
        const listed = await api.client.list(backupKind, { namespace, labelSelector, ...call });
        assert.deepEqual(namesOf(listed), names, labelSelector);
      }
    });

    it("that cannot be read is InvalidConfiguration", async () => {
      const namespace = await api.namespace();
      await assert.rejects(api.client.list(backupKind, { namespace, labelSelector: "a in b", ...call }), {
        code: "InvalidConfiguration",
      });
    });
  });
}
