import type { ApiServer } from "../harness/api-server.ts";
import type { KubeObject, ResourceKind } from "../../src/kube/objects.ts";

export interface Condition {
  type: string;
  status: string;
  reason: string;
}

export interface Widget extends KubeObject {
  spec: { size: number };
  status: { size?: number; phase?: string; conditions?: Condition[] };
}

export const widgets: ResourceKind<Widget> = {
  group: "test.etcdbackup.dev",
  version: "v1",
  plural: "widgets",
  kind: "Widget",
  namespaced: true,
};

const conditions = {
  type: "array",
  "x-kubernetes-list-type": "map",
  "x-kubernetes-list-map-keys": ["type"],
  items: {
    type: "object",
    required: ["type"],
    properties: { type: { type: "string" }, status: { type: "string" }, reason: { type: "string" } },
  },
};

const definition = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "widgets.test.etcdbackup.dev" },
  spec: {
    group: widgets.group,
    scope: "Namespaced",
    names: { plural: widgets.plural, singular: "widget", kind: widgets.kind, listKind: "WidgetList" },
    versions: [
      {
        name: widgets.version,
        served: true,
        storage: true,
        subresources: { status: {} },
        additionalPrinterColumns: [
          { name: "Size", type: "integer", jsonPath: ".spec.size" },
          { name: "Phase", type: "string", jsonPath: ".status.phase", priority: 1 },
        ],
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: {
              spec: {
                type: "object",
                required: ["size"],
                properties: { size: { type: "integer", maximum: 10 } },
              },
              status: {
                type: "object",
                properties: { size: { type: "integer" }, phase: { type: "string" }, conditions },
              },
            },
          },
        },
      },
    ],
  },
};

/** Creates the CRD of a kind with a status subresource, and waits until the server serves it. */
export async function defineWidgets(server: ApiServer): Promise<void> {
  await server.kubectl(["apply", "-f", "-"], { input: JSON.stringify(definition) });
  await server.kubectl([
    "wait",
    "--for=condition=Established",
    "--timeout=30s",
    `crd/${definition.metadata.name}`,
  ]);
}
