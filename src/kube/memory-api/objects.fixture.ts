import { isDeepStrictEqual } from "node:util";
import { apiVersionOf, objectKey, type KubeObject, type KubeObjectMeta, type ObjectRef } from "../objects.ts";
import type { ObjectSchema } from "../../api/schema/schema.ts";
import type { ServedKind } from "./kinds.fixture.ts";
import {
  checkFinalizers,
  checkLabels,
  checkName,
  checkPreconditions,
  serverMetadata,
  type WrittenMetadata,
  writtenMetadata,
} from "./metadata.fixture.ts";
import { applyFields, type Owners, ownersAfterUpdate, sameOwners } from "./owners.fixture.ts";
import { alreadyExists, invalid, notFound, Refusal } from "./refusal.fixture.ts";
import { pruned, unreadable, violations, withDefaults } from "./schema.fixture.ts";

/** An object as it is stored. Nobody changes it: a write puts another in its place. */
export interface ApiObject extends KubeObject {
  [field: string]: unknown;
}

/** One version. Without `after` the object has gone; `before` then has the version of that moment. */
export interface Change {
  version: number;
  before?: ApiObject;
  after?: ApiObject;
}

interface Entry {
  object: ApiObject;
  /** As it was last written: the default status of a new object is in none of its bytes before its first update. */
  written: object;
  owners: { object: Owners; status: Owners };
}

/** What is sent to the server: metadata as far as the client knows it. */
export interface SentObject {
  metadata: Partial<KubeObjectMeta>;
}

/** Who writes, and to which part. */
export interface Write {
  ref: ObjectRef;
  manager: string;
  subresource?: "status";
}

export interface Clock {
  now: () => Date;
  /** The next resource version. One sequence serves all kinds, as in etcd. */
  nextVersion: () => number;
  nextUid: () => string;
}

/** An object without its status, and of its metadata what a client writes. */
interface MainFields {
  metadata?: WrittenMetadata;
  [field: string]: unknown;
}

const noOwners: Owners = new Map();

/** The objects of one kind, with the rules by which the API server writes them. Throws Refusal. */
export class MemoryObjects {
  readonly served: ServedKind;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #onChange: (change: Change) => void;

  constructor(served: ServedKind, clock: Clock, onChange: (change: Change) => void) {
    this.served = served;
    this.#clock = clock;
    this.#onChange = onChange;
  }

  get(ref: ObjectRef): ApiObject | undefined {
    return this.#entries.get(objectKey(ref))?.object;
  }

  /** In the order of their keys. */
  list(): ApiObject[] {
    const entries = [...this.#entries].toSorted(([a], [b]) => (a < b ? -1 : 1));
    return entries.map(([, { object }]) => object);
  }

  create(sent: SentObject, { ref, manager }: Write): ApiObject {
    const metadata = writtenMetadata(sent.metadata);
    const content = this.#checked(ref.name, this.served.mainSchema, this.#mainContent(sent));
    const change = {
      schema: this.served.mainSchema,
      before: {},
      after: this.#mainFields({ metadata, ...content }),
    };
    return this.#insert(ref, { metadata, content, owners: ownersAfterUpdate(noOwners, manager, change) });
  }

  /** Of the object, everything but the status is written; of the status, nothing else. */
  update(sent: SentObject, { ref, manager, subresource }: Write): ApiObject {
    const entry = this.#existing(ref);
    const { object, owners } = entry;
    checkPreconditions(this.served.kind, object.metadata, sent.metadata);
    if (subresource === "status") {
      const change = { schema: this.served.statusSchema, before: statusOf(object) };
      return this.#replaceStatus(entry, statusOf(sent), (after) =>
        ownersAfterUpdate(owners.status, manager, { ...change, after }),
      );
    }
    const change = { schema: this.served.mainSchema, before: this.#mainFields(object) };
    return this.#replaceMain(entry, this.#mainFields(sent), (after) =>
      ownersAfterUpdate(owners.object, manager, { ...change, after }),
    );
  }

  apply(sent: SentObject, { ref, manager, subresource }: Write): ApiObject {
    const { kind, mainSchema, statusSchema } = this.served;
    this.#checkReadable(sent, ref);
    const entry = this.#entries.get(objectKey(ref));
    const config = { config: this.#mainFields(sent), manager: `${manager} Apply` };
    if (entry === undefined) {
      if (subresource === "status") throw notFound(kind, ref.name);
      const { value, owners } = applyFields(mainSchema, {}, { ...config, owners: noOwners });
      const { metadata = {}, ...content } = value as MainFields;
      return this.#insert(ref, {
        metadata,
        content: this.#checked(ref.name, mainSchema, content),
        owners,
      });
    }
    const { object, owners } = entry;
    const { resourceVersion } = sent.metadata;
    checkPreconditions(kind, object.metadata, resourceVersion === undefined ? {} : { resourceVersion });
    if (subresource === "status") {
      const applied = { ...config, config: statusOf(sent), owners: owners.status };
      const next = applyFields(statusSchema, statusOf(object), applied);
      return this.#replaceStatus(entry, next.value ?? {}, () => next.owners);
    }
    const next = applyFields(mainSchema, this.#mainFields(object), { ...config, owners: owners.object });
    return this.#replaceMain(entry, (next.value ?? {}) as MainFields, () => next.owners);
  }

  /** Undefined when the object has gone, else the object that waits for its finalizers. */
  remove(ref: ObjectRef, precondition: { uid?: string }): ApiObject | undefined {
    const entry = this.#existing(ref);
    const { metadata } = entry.object;
    checkPreconditions(this.served.kind, metadata, precondition);
    if ((metadata.finalizers ?? []).length === 0) {
      this.#drop(entry.object);
      return undefined;
    }
    if (metadata.deletionTimestamp !== undefined) return entry.object;
    const deletionTimestamp = wholeSeconds(this.#clock.now());
    const deleting = { ...metadata, deletionTimestamp, generation: metadata.generation + 1 };
    return this.#put(entry, { ...entry.object, metadata: deleting }, entry.owners);
  }

  #insert(
    ref: ObjectRef,
    { metadata, content, owners }: { metadata: WrittenMetadata; content: object; owners: Owners },
  ): ApiObject {
    const { kind, isChecked, statusSchema } = this.served;
    checkName(kind, ref.name);
    checkLabels(kind, ref.name, metadata);
    if (this.#entries.has(objectKey(ref))) throw alreadyExists(kind, ref.name);
    const version = this.#clock.nextVersion();
    const written = {
      apiVersion: apiVersionOf(kind),
      kind: kind.kind,
      metadata: {
        ...ref,
        uid: this.#clock.nextUid(),
        resourceVersion: String(version),
        generation: 1,
        creationTimestamp: wholeSeconds(this.#clock.now()),
        ...metadata,
      },
      ...content,
    };
    const object = isChecked ? { ...written, ...(withDefaults(statusSchema, {}) as object) } : written;
    this.#entries.set(objectKey(ref), { object, written, owners: { object: owners, status: noOwners } });
    this.#onChange({ version, after: object });
    return object;
  }

  #replaceMain(
    entry: Entry,
    { metadata = {}, ...sent }: MainFields,
    ownersOf: (after: object) => Owners,
  ): ApiObject {
    const before = entry.object;
    const { kind, hasStatus, mainSchema } = this.served;
    const { name } = before.metadata;
    checkFinalizers(kind, before.metadata, metadata);
    checkLabels(kind, name, metadata);
    const content = this.#checked(name, mainSchema, sent);
    const isSame = isDeepStrictEqual(content, this.#mainContent(before));
    const generation = before.metadata.generation + (isSame ? 0 : 1);
    const object = {
      apiVersion: before.apiVersion,
      kind: before.kind,
      metadata: { ...serverMetadata(before.metadata), generation, ...writtenMetadata(metadata) },
      ...content,
      ...(hasStatus ? statusOf(before) : {}),
    };
    const owners = { ...entry.owners, object: ownersOf(this.#mainFields(object)) };
    return this.#put(entry, object, owners);
  }

  #replaceStatus(entry: Entry, sent: object, ownersOf: (after: object) => Owners): ApiObject {
    const { status: _status, ...rest } = entry.object;
    const status = this.#checked(rest.metadata.name, this.served.statusSchema, sent);
    return this.#put(entry, { ...rest, ...status }, { ...entry.owners, status: ownersOf(status) });
  }

  /** Stores the object with a new version, unless nothing has changed. */
  #put(entry: Entry, object: ApiObject, owners: Entry["owners"]): ApiObject {
    const before = entry.object;
    const { metadata } = object;
    const isOwnedAsBefore =
      sameOwners(owners.object, entry.owners.object) && sameOwners(owners.status, entry.owners.status);
    if (isOwnedAsBefore && isDeepStrictEqual(object, entry.written)) return before;
    if (metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).length === 0) {
      this.#drop(object);
      return object;
    }
    const version = this.#clock.nextVersion();
    const after = { ...object, metadata: { ...metadata, resourceVersion: String(version) } };
    this.#entries.set(objectKey(metadata), { object: after, written: after, owners });
    this.#onChange({ version, before, after });
    return after;
  }

  #drop(object: ApiObject): void {
    const version = this.#clock.nextVersion();
    this.#entries.delete(objectKey(object.metadata));
    const metadata = { ...object.metadata, resourceVersion: String(version) };
    this.#onChange({ version, before: { ...object, metadata } });
  }

  #existing(ref: ObjectRef): Entry {
    const entry = this.#entries.get(objectKey(ref));
    if (entry === undefined) throw notFound(this.served.kind, ref.name);
    return entry;
  }

  /** Pruned and with defaults. Throws what the schema forbids. */
  #checked(name: string, schema: ObjectSchema, content: object): object {
    const { kind, isChecked } = this.served;
    if (!isChecked) return content;
    const filled = withDefaults(schema, pruned(schema, content));
    const problems = [...violations(schema, filled, "")];
    if (problems.length > 0) throw invalid(kind, name, problems);
    return filled as object;
  }

  #checkReadable(sent: SentObject, ref: ObjectRef): void {
    const { kind, isChecked, mainSchema, statusSchema } = this.served;
    if (!isChecked) return;
    const problem =
      unreadable(mainSchema, this.#mainContent(sent)) ?? unreadable(statusSchema, statusOf(sent));
    if (problem === undefined) return;
    const what = `${objectKey(ref)}; ${apiVersionOf(kind)}, Kind=${kind.kind}`;
    throw new Refusal(500, "", `failed to create typed patch object (${what}): ${problem}`);
  }

  /** Everything but apiVersion, kind, metadata and a status that is written by requests of its own. */
  #mainContent(sent: object): object {
    const { status, ...content } = contentOf(sent) as { status?: unknown };
    return this.served.hasStatus || status === undefined ? content : { ...content, status };
  }

  /** What managers own of an object apart from its status. */
  #mainFields(sent: SentObject): MainFields {
    const metadata = writtenMetadata(sent.metadata);
    return { ...(Object.keys(metadata).length === 0 ? {} : { metadata }), ...this.#mainContent(sent) };
  }
}

function contentOf(sent: object): object {
  const {
    apiVersion: _apiVersion,
    kind: _kind,
    metadata: _metadata,
    ...content
  } = sent as Partial<ApiObject>;
  return content;
}

function statusOf(sent: object): { status?: unknown } {
  return "status" in sent && sent.status !== undefined ? { status: sent.status } : {};
}

function wholeSeconds(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}
