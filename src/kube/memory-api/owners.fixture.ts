import { isDeepStrictEqual } from "node:util";
import type { Schema } from "../../api/schema/schema.ts";
import { type Fields, fieldsOf, holdsBeneath, merged, without } from "./fields.fixture.ts";

/** Who owns which fields, by manager. Applying and updating in one name are two managers. */
export type Owners = ReadonlyMap<string, Fields>;

/**
 * Server-side apply with `force`: the live value with `config` laid over it, without what the manager has applied before
 * and leaves out now, unless others own it too. Others lose the fields whose values change.
 */
export function applyFields(
  schema: Schema | undefined,
  live: unknown,
  { config, manager, owners }: { config: unknown; manager: string; owners: Owners },
): { value: unknown; owners: Owners } {
  const wanted = fieldsOf(schema, config);
  const others = [...owners].filter(([name]) => name !== manager);
  let value = merged(schema, live, config);
  for (const [id, { steps }] of owners.get(manager) ?? []) {
    const stays = wanted.has(id) || others.some(([, fields]) => fields.has(id)) || holdsBeneath(wanted, id);
    if (!stays) value = without(value, steps);
  }
  if (others.length === 0) return { value, owners: held([[manager, wanted]]) };
  const before = fieldsOf(schema, live);
  const after = fieldsOf(schema, value);
  const kept = others.map(([name, fields]): [string, Fields] => [
    name,
    filter(fields, (id) => after.has(id) && (!wanted.has(id) || isSame(before, wanted, id))),
  ]);
  return { value, owners: held([...kept, [manager, wanted]]) };
}

/** After a write that is no apply: the manager owns what it has changed, and nobody else does. */
export function ownersAfterUpdate(
  owners: Owners,
  manager: string,
  { schema, before, after }: { schema: Schema | undefined; before: unknown; after: unknown },
): Owners {
  const old = fieldsOf(schema, before);
  const now = fieldsOf(schema, after);
  const changed = filter(now, (id) => !isSame(old, now, id));
  const left = [...owners].map(([name, fields]): [string, Fields] => [
    name,
    filter(fields, (id) => now.has(id) && !changed.has(id)),
  ]);
  const own = left.find(([name]) => name === manager)?.[1] ?? [];
  return held([...left.filter(([name]) => name !== manager), [manager, new Map([...own, ...changed])]]);
}

export function sameOwners(one: Owners, other: Owners): boolean {
  if (one.size !== other.size) return false;
  for (const [name, fields] of one) {
    const others = other.get(name);
    if (others?.size !== fields.size) return false;
    for (const id of fields.keys()) if (!others.has(id)) return false;
  }
  return true;
}

function isSame(one: Fields, other: Fields, id: string): boolean {
  return one.has(id) && isDeepStrictEqual(one.get(id)?.value, other.get(id)?.value);
}

function filter(fields: Fields, keep: (id: string) => boolean): Fields {
  return new Map([...fields].filter(([id]) => keep(id)));
}

function held(owners: [string, Fields][]): Owners {
  return new Map(owners.filter(([, fields]) => fields.size > 0));
}
