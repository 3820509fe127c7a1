import type { KubeClient } from "../../src/kube/client.ts";
import type { CollectionOptions } from "../../src/kube/list.ts";
import { type KubeObject, pathOf, type ResourceKind, resourceName } from "../../src/kube/objects.ts";

/** The table that the API server returns for `kubectl get`. */
export interface ServerTable {
  /** Priority 0 is always shown, the others only with `-o wide`. */
  columns: { name: string; type: string; priority: number; description: string }[];
  /** One a row, by column name. */
  rows: Record<string, string>[];
}

interface TableAnswer {
  columnDefinitions: { name: string; type: string; priority?: number; description?: string }[];
  rows: { cells: unknown[] }[] | null;
}

/** The table of all objects of a kind, with its additional printer columns. */
export async function serverTable(
  client: Pick<KubeClient, "request">,
  kind: ResourceKind<KubeObject>,
  { namespace, labelSelector, signal }: CollectionOptions,
): Promise<ServerTable> {
  const at = namespace === undefined ? {} : { namespace };
  const call = {
    verb: "list",
    resource: resourceName(kind),
    method: "GET",
    path: pathOf(kind, at),
    query: { labelSelector, includeObject: "None" },
    accept: "application/json;as=Table;v=v1;g=meta.k8s.io",
    repeatable: true,
  } as const;
  const answer = (await client.request(call, { signal })) as TableAnswer;
  const columns = answer.columnDefinitions.map(({ name, type, priority = 0, description = "" }) => ({
    name,
    type,
    priority,
    description,
  }));
  const rows = (answer.rows ?? []).map(({ cells }) =>
    Object.fromEntries(columns.map(({ name }, index) => [name, cellText(cells[index])])),
  );
  return { columns, rows };
}

function cellText(cell: unknown): string {
  if (cell === null || cell === undefined) return "";
  return typeof cell === "string" ? cell : JSON.stringify(cell);
}
