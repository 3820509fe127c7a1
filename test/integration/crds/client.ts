import assert from "node:assert/strict";
import { ApiException, CustomObjectsApi, KubeConfig } from "@kubernetes/client-node";
import { apiVersion, group, type ResourceDefinition, version } from "../../../src/api/schema/resource.ts";
import { kinds } from "../../../src/api/v1alpha1/kinds.ts";

/** A custom resource of any kind, as the API server returns it. */
export interface CustomObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; generation?: number; deletionTimestamp?: string };
  spec?: unknown;
  status?: { observedGeneration?: number; conditions?: { type: string; status: string }[] };
}

/** Not typed further, since tests send invalid values, too. */
interface Changes {
  spec?: unknown;
  status?: unknown;
}

export type CustomObjects = ReturnType<typeof openCustomObjects>;

/** Reads and writes our kinds in the namespace `default`. A refusal is an ApiException. */
export function openCustomObjects(kubeconfigPath: string) {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfigPath);
  const client = config.makeApiClient(CustomObjectsApi);
  const read = (kind: string, name: string): Promise<CustomObject> =>
    client.getNamespacedCustomObject({ ...place(kind), name });
  const create = (kind: string, spec: unknown, name: string): Promise<CustomObject> =>
    client.createNamespacedCustomObject({ ...place(kind), body: document(kind, spec, name) });
  return {
    read,
    create,
    /** A dry run with the whole of admission and validation. */
    validate: (kind: string, spec: unknown): Promise<CustomObject> =>
      client.createNamespacedCustomObject({
        ...place(kind),
        body: document(kind, spec, "prod"),
        dryRun: "All",
      }),
    /** The server ignores the status of `changes`. */
    replace: async (kind: string, name: string, changes: Changes): Promise<CustomObject> => {
      const body = { ...(await read(kind, name)), ...changes };
      return client.replaceNamespacedCustomObject({ ...place(kind), name, body });
    },
    /** The server ignores the spec of `changes`. */
    replaceStatus: async (kind: string, name: string, changes: Changes): Promise<CustomObject> => {
      const body = { ...(await read(kind, name)), ...changes };
      return client.replaceNamespacedCustomObjectStatus({ ...place(kind), name, body });
    },
    /** Creates an object, changes its spec, and deletes it. */
    change: async (kind: string, name: string, from: unknown, to: unknown): Promise<void> => {
      const created = await create(kind, from, name);
      try {
        await client.replaceNamespacedCustomObject({ ...place(kind), name, body: { ...created, spec: to } });
      } finally {
        await client.deleteNamespacedCustomObject({ ...place(kind), name });
      }
    },
  };
}

/** One reason why the API server refuses an object. */
export interface Cause {
  field: string;
  message: string;
}

/** Why a request was refused as invalid, with list indexes as `[]`; empty when it was accepted. */
export async function causesOf(request: Promise<unknown>): Promise<Cause[]> {
  try {
    await request;
  } catch (error) {
    if (!(error instanceof ApiException) || error.code !== 422) throw error;
    const answer: { details: { causes: Cause[] } } = JSON.parse(error.body);
    return answer.details.causes.map(({ field, message }) => ({
      field: field.replaceAll(/\[\d+\]/g, "[]"),
      message,
    }));
  }
  return [];
}

/** Fails unless one of the causes has this field and a message with this text. */
export function assertNames(causes: Cause[], field: string, message: string): void {
  const named = causes.some((cause) => cause.field === field && cause.message.includes(message));
  assert.ok(
    named,
    `no cause at ${field} with ${JSON.stringify(message)} in ${JSON.stringify(causes, null, 2)}`,
  );
}

function place(kind: string) {
  return { group, version, namespace: "default", plural: definitionOf(kind).plural };
}

function document(kind: string, spec: unknown, name: string): CustomObject {
  return { apiVersion, kind, metadata: { name }, spec };
}

function definitionOf(kind: string): ResourceDefinition {
  const definition = kinds.find((candidate) => candidate.kind === kind);
  assert.ok(definition);
  return definition;
}
