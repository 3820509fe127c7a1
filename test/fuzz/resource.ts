import assert from "node:assert/strict";
import fc from "fast-check";
import { type EtcdBackup, etcdBackupDefinition } from "../../src/api/v1alpha1/etcd-backup.ts";
import { etcdBackupStoreDefinition } from "../../src/api/v1alpha1/etcd-backup-store.ts";
import type { Schema } from "../../src/api/schema/schema.ts";
import { type BackupDecision, decide } from "../../src/core/backup/decide.ts";
import { afterFailure, whileUnknown } from "../../src/core/backup/failure.ts";
import type { ObservedRun, StoredRun } from "../../src/core/backup/observed.ts";
import { runIdOf } from "../../src/core/backup/run-id.ts";
import { changed, deleting, initialized, interrupted, restamped } from "../../src/core/backup/status.ts";
import { type DocumentSchema, findMismatch } from "../../src/core/check-schema.ts";
import { OperatorError } from "../../src/core/errors.ts";
import { manifestSchema } from "../../src/backup/manifest/schema.ts";
import { mutateJson } from "./json-mutations.ts";
import type { Target } from "./target.ts";

const now = new Date("2026-08-20T12:00:00Z");
const stores = ["found", "missing", "readOnly"] as const;
const runs = ["none", "reserved", "running", "succeeded", "failed"] as const;
const schemas: readonly DocumentSchema[] = [
  manifestSchema,
  plain(etcdBackupDefinition.status),
  plain(etcdBackupStoreDefinition.status),
];

const time = fc.oneof(
  fc
    .date({ min: new Date(0), max: new Date("9999-12-31T23:59:59Z"), noInvalidDate: true })
    .map((date) => date.toISOString()),
  fc
    .date({ min: new Date(now.getTime() - 9e7), max: new Date(now.getTime() + 9e7), noInvalidDate: true })
    .map((date) => date.toISOString()),
  fc.constantFrom("2026-08-20T12:00:00+14:00", "0001-01-01T00:00:00Z", "2026-08-20T12:00:00.123456789Z"),
);

/** Conditions with unique types, which the API server ensures. */
const conditions = fc.uniqueArray(
  fc.record({
    type: fc.constantFrom("Succeeded", "Finished", "Reconciling", "Stalled", "Ready", "Other"),
    status: fc.constantFrom("True", "False", "Unknown"),
    reason: fc.constantFrom("Pending", "Running", "Deleting", "Elsewhere"),
    message: fc.string({ maxLength: 10 }),
    lastTransitionTime: time,
    observedGeneration: fc.integer({ min: 0, max: 9 }),
  }),
  { selector: ({ type }) => type, maxLength: 5 },
);

const observed = fc.record({
  backup: fc.record({
    apiVersion: fc.constant("etcdbackup.dev/v1alpha1"),
    kind: fc.constant("EtcdBackup"),
    metadata: fc.record(
      {
        name: fc.constant("b"),
        uid: fc.uuid(),
        resourceVersion: fc.constant("1"),
        generation: fc.integer({ min: 1, max: 9 }),
        creationTimestamp: time,
        deletionTimestamp: time,
        finalizers: fc.array(fc.constantFrom("etcdbackup.dev/stored-objects", "x/y")),
        annotations: fc.dictionary(fc.constantFrom("etcdbackup.dev/force-delete", "x"), fc.string()),
      },
      { requiredKeys: ["name", "uid", "resourceVersion", "generation", "creationTimestamp"] },
    ),
    spec: valuesOf(etcdBackupDefinition.spec),
    status: valuesOf(etcdBackupDefinition.status),
  }),
  store: fc.constantFrom(...stores),
  run: fc.constantFrom(...runs),
  freeSlots: fc.integer({ min: -1, max: 3 }),
});

/** Every document is checked without an exception, and every object that the API server may hold leads to a decision and to a next status. */
export const resource: Target = {
  name: "resource",
  testInputs: 2500,
  isText: true,
  generate(random) {
    const [sample] = fc.sample(observed, { seed: random.below(2 ** 31), numRuns: 1 });
    const document = JSON.parse(JSON.stringify(sample));
    return Buffer.from(
      JSON.stringify(random.oneIn(3) ? { document: mutateJson(document, random) } : document),
    );
  },
  check(input) {
    const value: unknown = JSON.parse(Buffer.from(input).toString());
    for (const schema of schemas) {
      const mismatch = findMismatch(value, schema);
      assert.ok(mismatch === undefined || (mismatch.length < 5000 && /^\S+: /.test(mismatch)), mismatch);
    }
    if (!isObserved(value)) return;
    const { backup, run } = value;
    for (const code of ["Unreachable", "VerificationFailed"] as const) {
      const error = new OperatorError(code, "message", {
        hint: "hint",
        outcomeUnknown: code === "Unreachable",
      });
      for (const stored of storedRuns(error))
        checkDecision(
          decide(
            {
              ...value,
              isStoreGuarded: true,
              place: 1,
              folder: { state: "free" },
              run: runOf(run, error),
              stored,
            },
            now,
          ),
        );
      checkDecision(afterFailure(backup, error, now));
      checkDecision(whileUnknown(backup, error, now));
    }
    const status = { outcome: "InProgress", reason: "Pending", message: "m" } as const;
    for (const next of [
      changed(backup, status, now),
      restamped(backup),
      deleting(backup, now),
      initialized(backup, now),
      interrupted(backup, { counts: true, now }),
      interrupted(backup, { counts: false, now }),
    ]) {
      assert.ok((next.attempts ?? 0) >= 0);
      const types = (next.conditions ?? []).map(({ type }) => type);
      for (const type of ["Succeeded", "Reconciling"])
        assert.ok(
          types.filter((candidate) => candidate === type).length <= 1 || hasDuplicates(backup),
          `${type} is there twice`,
        );
    }
  },
};

function storedRuns(error: OperatorError): StoredRun[] {
  return [{ state: "notAsked" }, { state: "absent" }, { state: "unknown", error }];
}

function runOf(state: (typeof runs)[number], error: OperatorError): ObservedRun {
  switch (state) {
    case "reserved":
      return { state, attempt: 1 };
    case "running":
      return { state, report: {} };
    case "failed":
      return { state, report: {}, error };
    default:
      return { state: "none" };
  }
}

interface Observed {
  backup: EtcdBackup;
  store: (typeof stores)[number];
  run: (typeof runs)[number];
  freeSlots: number;
}

function isObserved(value: unknown): value is Observed {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.hasOwn(value, "backup") &&
    Object.hasOwn(value, "run")
  );
}

function hasDuplicates({ status }: EtcdBackup): boolean {
  const types = (status.conditions ?? []).map(({ type }) => type);
  return new Set(types).size < types.length;
}

function checkDecision(decision: BackupDecision): void {
  switch (decision.do) {
    case "wait":
      assert.ok(decision.ms > 0 && Number.isFinite(decision.ms), `waits ${decision.ms} ms`);
      return;
    case "retry":
    case "lookAgain":
      assert.ok(decision.at > now && !Number.isNaN(decision.at.getTime()));
      return;
    case "start":
      assert.ok(decision.attempt >= 1 && runIdOf("0f1e2d3c-4b5a", decision.attempt).length > 12);
      return;
    default:
  }
}

/** Values that the API server accepts. */
function valuesOf(schema: Schema): fc.Arbitrary<unknown> {
  switch (schema.type) {
    case "string":
      if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
      if (schema.format === "date-time") return time;
      return fc.string({ minLength: schema.minLength ?? 0, maxLength: Math.min(schema.maxLength ?? 20, 20) });
    case "integer":
      return fc.oneof(
        fc.integer({ min: schema.minimum ?? -(2 ** 31), max: schema.maximum ?? 2 ** 31 - 1 }),
        fc.integer({
          min: schema.minimum ?? 0,
          max: Math.min(schema.maximum ?? 5, (schema.minimum ?? 0) + 5),
        }),
      );
    case "boolean":
      return fc.boolean();
    case "array": {
      const isConditions = schema["x-kubernetes-list-map-keys"]?.includes("type") === true;
      return isConditions
        ? conditions
        : fc.array(valuesOf(schema.items), { minLength: schema.minItems ?? 0, maxLength: 3 });
    }
    case "object": {
      if ("additionalProperties" in schema)
        return fc.dictionary(fc.string({ maxLength: 5 }), valuesOf(schema.additionalProperties), {
          maxKeys: 2,
        });
      if (!("properties" in schema)) return fc.dictionary(fc.string({ maxLength: 5 }), fc.jsonValue());
      const fields = Object.entries(schema.properties).map(
        ([name, property]) => [name, valuesOf(property)] as const,
      );
      const present = Object.entries(schema.properties).flatMap(([name, property]) =>
        "default" in property || schema.required?.includes(name) === true ? [name] : [],
      );
      return fc.record(Object.fromEntries(fields), { requiredKeys: present });
    }
    default:
      return schema satisfies never;
  }
}

/** A resource's schema as a schema of documents: both use the same keywords. */
function plain(schema: Schema): DocumentSchema {
  return JSON.parse(JSON.stringify(schema));
}
