import assert from "node:assert/strict";
import { test } from "node:test";
import { OperatorError } from "../core/errors.ts";
import { applyStatus } from "./apply-status.ts";
import { ApiStatusError } from "./errors.ts";
import type { KubeObject, ResourceKind } from "./objects.ts";
import type { ApiCall } from "./request.ts";

type Widget = KubeObject & { status: { ready?: boolean } };

const widgets: ResourceKind<Widget> = {
  group: "example.dev",
  version: "v1",
  plural: "widgets",
  kind: "Widget",
  namespaced: true,
};
const ref = { namespace: "prod", name: "a" };
const change = { uid: "u1", status: { ready: true } };
const options = { signal: new AbortController().signal };

function widget(uid: string, resourceVersion: string): Widget {
  const metadata = { ...ref, uid, resourceVersion, generation: 1, creationTimestamp: "2026-01-01T00:00:00Z" };
  return { apiVersion: "example.dev/v1", kind: "Widget", metadata, status: {} };
}

/** A server that gives these objects, the last one for ever, and refuses the first `conflicts` writes. */
function serverOf(objects: (Widget | undefined)[], conflicts = 0) {
  const written: ApiCall[] = [];
  let reads = 0;
  return {
    written,
    get: async () => objects[Math.min(reads++, objects.length - 1)],
    async request(call: ApiCall) {
      written.push(call);
      const cause = new ApiStatusError(409, { reason: "Conflict" });
      if (written.length <= conflicts) throw new OperatorError("Conflict", "changed", { cause });
      return widget("u1", "9");
    },
  };
}

const versions = (written: readonly ApiCall[]) =>
  written.map(({ body }) => (body as Widget).metadata.resourceVersion);

test("the status is written for the version that was read, and again when the object has changed since", async () => {
  const server = serverOf([widget("u1", "1"), widget("u1", "2")], 1);
  await applyStatus(server, widgets, ref, change, options);
  assert.deepEqual(versions(server.written), ["1", "2"]);
});

test("an object that keeps changing is a Conflict after four attempts", async () => {
  const server = serverOf([widget("u1", "1")], 100);
  await assert.rejects(applyStatus(server, widgets, ref, change, options), { code: "Conflict" });
  assert.equal(server.written.length, 4);
});

test("another object of the same name is a Conflict, and none is NotFound: nothing is written", async () => {
  const replaced = serverOf([widget("u2", "1")]);
  await assert.rejects(applyStatus(replaced, widgets, ref, change, options), {
    code: "Conflict",
    message: "patch widgets.example.dev/status prod/a: an object with another UID has this name",
  });
  const deleted = serverOf([undefined]);
  await assert.rejects(applyStatus(deleted, widgets, ref, change, options), { code: "NotFound" });
  assert.deepEqual([...replaced.written, ...deleted.written], []);
});

test("with a version the status is written for that version alone, and a change since is a Conflict", async () => {
  const server = serverOf([widget("u1", "2")], 1);
  const versioned = { resourceVersion: "1", status: {} };
  await assert.rejects(applyStatus(server, widgets, ref, versioned, options), { code: "Conflict" });
  assert.deepEqual(versions(server.written), ["1"]);
});

test("without a UID the status is written at once", async () => {
  const server = serverOf([undefined]);
  await applyStatus(server, widgets, ref, { status: {} }, options);
  assert.deepEqual(versions(server.written), [undefined]);
});
