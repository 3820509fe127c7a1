import assert from "node:assert/strict";
import { existsSync, globSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { apiVersion } from "../../../src/api/schema/resource.ts";
import { kinds } from "../../../src/api/v1alpha1/kinds.ts";
import { parseSchedule } from "../../../src/core/schedule/schedule.ts";
import { startApiServer } from "../../harness/api-server.ts";

const deploy = join(import.meta.dirname, "..", "..", "..", "deploy");

/** An object of a sample, as far as these tests look at it. */
interface Sample {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace: string };
  spec: {
    schedule?: string;
    timeZone?: string;
    storeRef?: { name: string };
    source?: { store?: { storeRef: { name: string } } };
    template?: { spec: { storeRef: { name: string } } };
  };
}

const files = globSync("{samples,examples}/**/*.yaml", { cwd: deploy })
  .filter((file) => !file.startsWith(join("examples", "compose")))
  .toSorted();
const samples = await Promise.all(
  files.map(async (file) => {
    const documents = parseAllDocuments(await readFile(join(deploy, file), "utf8"));
    return { file, objects: documents.map((document): Sample => document.toJS()) };
  }),
);
const ours = samples.flatMap(({ file, objects }) =>
  objects.filter((object) => object.apiVersion === apiVersion).map((object) => ({ file, ...object })),
);

const server = await startApiServer();
after(() => server[Symbol.asyncDispose]());
await server.applyCrds();

describe("the samples", () => {
  for (const { file, objects } of samples) {
    test(`the API server accepts ${file}`, async () => {
      const applied = await server.kubectl([
        "apply",
        "--dry-run=server",
        "--validate=strict",
        "-f",
        join(deploy, file),
      ]);
      assert.equal(applied.match(/ created \(server dry run\)$/gm)?.length, objects.length, applied);
    });
  }

  test("have every kind", () => {
    assert.deepEqual(
      [...new Set(ours.map(({ kind }) => kind))].toSorted(),
      kinds.map(({ kind }) => kind).toSorted(),
    );
  });

  test("have schedules and time zones that the operator can use", () => {
    const schedules = ours.filter(({ kind }) => kind === "EtcdBackupSchedule");
    assert.ok(schedules.length >= 5);
    for (const { file, spec } of schedules) {
      const parsed = parseSchedule(spec.schedule ?? "", spec.timeZone ?? "UTC");
      assert.equal(parsed.is, "schedule", `${file}: ${JSON.stringify(parsed)}`);
    }
  });

  test("refer to a store that another sample makes in the same namespace", () => {
    const id = (namespace: string, name: string | undefined) => `${namespace}/${name}`;
    const stores = ours
      .filter(({ kind }) => kind === "EtcdBackupStore")
      .map(({ metadata }) => id(metadata.namespace, metadata.name));
    for (const { file, spec, metadata } of ours) {
      const ref = spec.storeRef ?? spec.template?.spec.storeRef ?? spec.source?.store?.storeRef;
      if (ref !== undefined)
        assert.ok(stores.includes(id(metadata.namespace, ref.name)), `${file}: ${ref.name}`);
    }
  });

  test("are all in the table of their README, which links to nothing else", async () => {
    const readme = await readFile(join(deploy, "examples", "README.md"), "utf8");
    const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, link = ""]) => link);
    for (const link of links) assert.ok(existsSync(join(deploy, "examples", link)), link);
    const linked = links.map((link) => join("examples", link));
    for (const file of files.filter((name) => dirname(name) !== "samples"))
      assert.ok(linked.includes(file), file);
  });
});
