import { isDeepStrictEqual } from "node:util";
import type { ArraySchema, Schema } from "../../api/schema/schema.ts";
import { isRecord } from "../../core/record.ts";
import { fieldSchema, itemKey, listType } from "./schema.fixture.ts";

/** From an object to one of its fields, or from a list to one of its items. */
type Step = { field: string } | { key: Record<string, unknown> } | { item: unknown };

interface Field {
  steps: readonly Step[];
  /** Undefined for an item of a list of type `map`: its fields are owned one by one. */
  value: unknown;
}

/**
 * What a field manager owns, by path: scalars, lists of type `atomic`, empty objects, and the items of other lists. https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
 */
export type Fields = ReadonlyMap<string, Field>;

/** No name and no JSON text holds a line feed. */
const separator = "\n";

type KnownSchema = Schema | undefined;

/** Without a schema objects are merged field by field, and lists are atomic. */
export function fieldsOf(schema: KnownSchema, value: unknown): Map<string, Field> {
  const fields = new Map<string, Field>();
  collect(schema, value, { id: "", steps: [] }, fields);
  return fields;
}

function collect(
  schema: KnownSchema,
  value: unknown,
  { id, steps }: { id: string; steps: readonly Step[] },
  into: Map<string, Field>,
): void {
  const next = (name: string, step: Step) => ({ id: id + separator + name, steps: [...steps, step] });
  if (isRecord(value) && Object.keys(value).length > 0) {
    for (const [name, field] of Object.entries(value))
      collect(schemaOf(schema, name), field, next(name, { field: name }), into);
  } else if (Array.isArray(value) && isGranular(schema)) {
    for (const item of value) {
      const step = stepTo(schema, item);
      const at = next(JSON.stringify(step), step);
      if ("key" in step) {
        into.set(at.id, { steps: at.steps, value: undefined });
        collect(schema.items, item, at, into);
      } else into.set(at.id, { steps: at.steps, value: item });
    }
  } else if (steps.length > 0) into.set(id, { steps, value });
}

/** Whether a field beneath that path is among these. */
export function holdsBeneath(fields: Fields, id: string): boolean {
  for (const other of fields.keys()) if (other.startsWith(id + separator)) return true;
  return false;
}

/** The live value with the applied one laid over it. Items that only the live list has stay, near their place. */
export function merged(schema: KnownSchema, live: unknown, applied: unknown): unknown {
  if (isRecord(live) && isRecord(applied)) {
    const both = { ...live };
    for (const [name, field] of Object.entries(applied))
      both[name] = merged(schemaOf(schema, name), live[name], field);
    return both;
  }
  if (Array.isArray(live) && Array.isArray(applied) && isGranular(schema))
    return mergedList(schema, live, applied);
  return applied;
}

function mergedList(schema: ArraySchema, live: readonly unknown[], applied: readonly unknown[]): unknown[] {
  const idOf = (item: unknown) => JSON.stringify(stepTo(schema, item));
  const liveIds = live.map(idOf);
  const appliedIds = applied.map(idOf);
  const result: unknown[] = [];
  let at = 0;
  /** Items that only the live list has, up to this one. */
  const takeLive = (until: string | undefined): void => {
    for (; at < live.length && liveIds[at] !== until; at += 1)
      if (!appliedIds.includes(liveIds[at] ?? "")) result.push(live[at]);
  };
  for (const [index, item] of applied.entries()) {
    const nextShared = appliedIds.slice(index).find((id) => liveIds.includes(id));
    takeLive(nextShared);
    result.push(merged(schema.items, live[liveIds.indexOf(idOf(item))], item));
  }
  takeLive(undefined);
  return result;
}

/** The value without that field or item. An object or a list that it leaves empty goes with it. */
export function without(value: unknown, [step, ...rest]: readonly Step[]): unknown {
  if (step === undefined) return undefined;
  if ("field" in step) {
    if (!isRecord(value) || value[step.field] === undefined) return value;
    const { [step.field]: field, ...others } = value;
    const left = without(field, rest);
    const remaining = left === undefined ? others : { ...others, [step.field]: left };
    return Object.keys(remaining).length === 0 ? undefined : remaining;
  }
  if (!Array.isArray(value)) return value;
  const items = value.flatMap((item) => {
    if (!isAt(item, step)) return [item];
    const left = without(item, rest);
    return left === undefined ? [] : [left];
  });
  return items.length === 0 ? undefined : items;
}

function isAt(item: unknown, step: Exclude<Step, { field: string }>): boolean {
  if ("item" in step) return isDeepStrictEqual(item, step.item);
  return isRecord(item) && Object.entries(step.key).every(([name, value]) => item[name] === value);
}

function stepTo(schema: ArraySchema, item: unknown): Step {
  const key = itemKey(schema, item);
  return key === undefined ? { item } : { key };
}

/** Items of such a list are owned one by one. An empty one is owned by nobody. */
function isGranular(schema: KnownSchema): schema is ArraySchema {
  return listType(schema) !== "atomic";
}

function schemaOf(schema: KnownSchema, name: string): KnownSchema {
  const declared = schema === undefined ? undefined : fieldSchema(schema, name);
  return typeof declared === "object" ? declared : undefined;
}
