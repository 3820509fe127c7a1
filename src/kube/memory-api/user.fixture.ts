import type { MemoryObjects, SentObject } from "./objects.fixture.ts";
import { objectKey, type KubeObject, type ObjectRef, type ResourceKind } from "../objects.ts";

/** Direct access to the objects, as a user or a controller of Kubernetes has it: no client, no hooks, no log. */
export interface ApiUser {
  /** The object as it is now. It is shared: do not change it. */
  object<T extends KubeObject>(kind: ResourceKind<T>, ref: ObjectRef): T | undefined;
  /** All objects of the kind, in the order of their keys. */
  objects<T extends KubeObject>(kind: ResourceKind<T>): T[];
  /** With a status, if the draft has one. Throws Refusal. */
  create<T extends KubeObject>(kind: ResourceKind<T>, draft: Created): T;
  /**
   * Writes a copy that `change` has changed, as two requests do, one for the object and one for its status. Returns what
   * is stored then. Throws Refusal.
   */
  change<T extends KubeObject>(kind: ResourceKind<T>, ref: ObjectRef, change: (copy: T) => void): T;
  /** As `kubectl delete --wait=false`. Throws Refusal when the object is not there. */
  remove(kind: ResourceKind<KubeObject>, ref: ObjectRef): void;
}

interface Created {
  metadata: ObjectRef & { labels?: Record<string, string>; finalizers?: string[] };
  spec?: unknown;
  status?: unknown;
}

export function userOf(objectsOf: (kind: ResourceKind<KubeObject>) => MemoryObjects): ApiUser {
  const write = (objects: MemoryObjects, sent: SentObject, ref: ObjectRef): void => {
    objects.update(sent, { ref, manager });
    const isGone = objects.get(ref) === undefined;
    if (isGone || !objects.served.hasStatus) return;
    objects.update({ ...sent, metadata: {} }, { ref, manager, subresource: "status" });
  };
  return {
    object: (kind, ref) => typed(kind, objectsOf(kind).get(ref)),
    objects: <T extends KubeObject>(kind: ResourceKind<T>) =>
      objectsOf(kind)
        .list()
        .flatMap((object) => typed(kind, object) ?? []),
    create<T extends KubeObject>(kind: ResourceKind<T>, draft: Created): T {
      const objects = objectsOf(kind);
      const { namespace, name } = draft.metadata;
      const ref = namespace === undefined ? { name } : { namespace, name };
      const created = objects.create(draft, { ref, manager });
      if (draft.status !== undefined)
        write(objects, { ...created, ...draft, metadata: created.metadata }, ref);
      return existing(kind, objects, ref);
    },
    change<T extends KubeObject>(kind: ResourceKind<T>, ref: ObjectRef, change: (copy: T) => void): T {
      const objects = objectsOf(kind);
      const copy = structuredClone(existing(kind, objects, ref));
      change(copy);
      write(objects, copy, ref);
      return typed(kind, objects.get(ref)) ?? copy;
    },
    remove: (kind, ref) => void objectsOf(kind).remove(ref, {}),
  };
}

const manager = "user";

function existing<T extends KubeObject>(kind: ResourceKind<T>, objects: MemoryObjects, ref: ObjectRef): T {
  const object = typed(kind, objects.get(ref));
  if (object === undefined) throw new Error(`${kind.kind} ${objectKey(ref)} is not there`);
  return object;
}

/** The kind says of which type its objects are; the schema has checked them. */
function typed<T extends KubeObject>(_kind: ResourceKind<T>, object: KubeObject | undefined): T | undefined {
  return object as T | undefined;
}
