import assert from "node:assert/strict";
import { test } from "node:test";
import { applyCall, createCall, getCall, listCall, removeCall, watchCall } from "./calls.ts";
import { callName } from "./errors.ts";
import { configMaps, type KubeObject, type ResourceKind } from "./objects.ts";

const widgets: ResourceKind<KubeObject> = {
  group: "example.dev",
  version: "v1",
  plural: "widgets",
  kind: "Widget",
  namespaced: true,
};
const ref = { namespace: "prod", name: "a" };

test("an error text names verb, resource and object, or the namespace of a collection", () => {
  const texts = [
    getCall(widgets, ref),
    applyCall(widgets, ref, {}, "status"),
    listCall(configMaps, { namespace: "prod" }),
    listCall(configMaps, {}),
  ].map(callName);
  assert.deepEqual(texts, [
    "get widgets.example.dev prod/a",
    "patch widgets.example.dev/status prod/a",
    "list configmaps in namespace prod",
    "list configmaps",
  ]);
});

test("an object is created in its collection and applied at its own path", () => {
  const draft = { metadata: ref, spec: { size: 1 } };
  const create = createCall(widgets, draft);
  const apply = applyCall(widgets, ref, draft);
  assert.equal(create.path, "/apis/example.dev/v1/namespaces/prod/widgets");
  assert.equal(apply.path, "/apis/example.dev/v1/namespaces/prod/widgets/a");
  for (const { body } of [create, apply])
    assert.deepEqual(body, { apiVersion: "example.dev/v1", kind: "Widget", ...draft });
});

test("only calls whose repetition changes nothing are repeatable", () => {
  const options = { resourceVersion: "1", timeoutSeconds: 60 };
  const calls = [
    getCall(widgets, ref),
    applyCall(widgets, ref, {}),
    removeCall(widgets, ref, {}),
    createCall(widgets, { metadata: ref }),
    watchCall(widgets, options),
  ];
  assert.deepEqual(
    calls.map(({ repeatable }) => repeatable),
    [true, true, true, false, false],
  );
});

test("a deletion carries the UID as a precondition where one is given", () => {
  assert.deepEqual(removeCall(widgets, ref, { uid: "u", propagation: "Background" }).body, {
    apiVersion: "v1",
    kind: "DeleteOptions",
    preconditions: { uid: "u" },
    propagationPolicy: "Background",
  });
});
