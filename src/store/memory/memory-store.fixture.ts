import { crc32c } from "@node-rs/crc32";
import { OperatorError } from "../../core/errors.ts";
import { hex8 } from "../../core/hex.ts";
import { checkObjectName, checkPrefix } from "../object-name.ts";
import { boundsOf } from "../byte-range.ts";
import { interruptible, throwIfAborted } from "../interruptible.ts";
import type { ObjectInfo, PutOptions, Store } from "../store.ts";

export type Call = "get" | "head" | "list" | "folders" | "remove" | "sweep" | "probe";

/** A Store in memory that passes the store contract. Every object in `objects` is visible. */
export interface MemoryStore extends Store {
  readonly objects: Map<string, Buffer>;
  /** When each object was put. An object that a test adds to `objects` itself has the time 0. */
  readonly modified: Map<string, Date>;
  /** Unfinished uploads of killed puts. */
  readonly unfinished: { name: string; begun: Date }[];
  /** Names of put calls, in order. */
  readonly puts: string[];
  /** The other calls in order, each with its object name or prefix: `remove prod/x.db`. */
  readonly calls: string[];
  /** The clock of the store. */
  now: () => Date;
  /** Called at the beginning of each put, which throws what this throws. */
  beforePut: (name: string, options: PutOptions) => void | Promise<void>;
  /** Called before a put takes each chunk. */
  beforeChunk: () => void | Promise<void>;
  /** Called at the beginning of every other call, which throws what this throws. */
  beforeCall: (call: Call, name: string) => void | Promise<void>;
}

/** `shared`: a store whose objects the new one shares, as two clients of one bucket do. */
export function memoryStore(shared?: MemoryStore): MemoryStore {
  const objects = shared?.objects ?? new Map<string, Buffer>();
  const modified = shared?.modified ?? new Map<string, Date>();
  const unfinished = shared?.unfinished ?? [];
  const store: MemoryStore = {
    url: "memory://store",
    location: "memory://store",
    objects,
    modified,
    unfinished,
    puts: [],
    calls: [],
    now: () => new Date(),
    beforePut: () => {},
    beforeChunk: () => {},
    beforeCall: () => {},
    async probe({ signal, write }) {
      await recordCall("probe", "", signal);
      return { conditionalWrites: write, checksums: write, objectLock: false };
    },
    async put(name, source, options) {
      checkObjectName(name);
      throwIfAborted(options.signal);
      store.puts.push(name);
      await store.beforePut(name, options);
      const chunks: Uint8Array[] = [];
      let size = 0;
      for await (const chunk of interruptible(source, options.signal)) {
        await store.beforeChunk();
        if (chunk.length === 0) continue;
        chunks.push(Buffer.from(chunk));
        size += chunk.length;
        options.onProgress?.(size);
      }
      throwIfAborted(options.signal);
      if (objects.has(name)) throw new OperatorError("AlreadyExists", `${name} exists`);
      const bytes = Buffer.concat(chunks);
      objects.set(name, bytes);
      modified.set(name, store.now());
      return { name, size, crc32c: crcOf(bytes), proof: "FullObjectCRC32C" };
    },
    async *get(name, { signal, range }) {
      checkObjectName(name);
      await recordCall("get", name, signal);
      const object = objects.get(name);
      if (object === undefined) throw new OperatorError("NotFound", `${name} does not exist`);
      const { end, offset: begin } = boundsOf(range, object.length, `reading ${name}`);
      const bytes = object.subarray(begin, end);
      for (let offset = 0; offset < bytes.length; offset += 1000) {
        throwIfAborted(signal);
        yield bytes.subarray(offset, offset + 1000);
      }
    },
    async head(name, { signal }) {
      checkObjectName(name);
      await recordCall("head", name, signal);
      const bytes = objects.get(name);
      return bytes === undefined ? undefined : { ...describe(name, bytes), crc32c: crcOf(bytes) };
    },
    async *list(prefix, { signal, startAfter = "" }) {
      checkPrefix(prefix);
      await recordCall("list", prefix, signal);
      for (const [name, bytes] of [...objects].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
        throwIfAborted(signal);
        if (name.startsWith(prefix) && name > startAfter) yield describe(name, bytes);
      }
    },
    async *folders(folder, { signal }) {
      checkPrefix(folder);
      await recordCall("folders", folder, signal);
      const inside = [...objects.keys()].filter(
        (name) => name.startsWith(folder) && name.indexOf("/", folder.length) > 0,
      );
      yield* new Set(inside.map((name) => name.slice(0, name.indexOf("/", folder.length) + 1)).toSorted());
    },
    async remove(name, { signal }) {
      checkObjectName(name);
      await recordCall("remove", name, signal);
      objects.delete(name);
      modified.delete(name);
    },
    async sweep(prefix, { before, only = () => true, dryRun = false, onSwept, signal }) {
      checkPrefix(prefix);
      await recordCall("sweep", prefix, signal);
      const swept = unfinished.filter((u) => u.name.startsWith(prefix) && u.begun < before && only(u.name));
      for (const upload of swept) {
        if (!dryRun) unfinished.splice(unfinished.indexOf(upload), 1);
        onSwept?.({ ...upload });
      }
      return swept.length;
    },
    async [Symbol.asyncDispose]() {},
  };

  async function recordCall(call: Call, name: string, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    store.calls.push(`${call} ${name}`);
    await store.beforeCall(call, name);
  }
  const describe = (name: string, bytes: Buffer): ObjectInfo => ({
    name,
    size: bytes.length,
    modified: modified.get(name) ?? new Date(0),
  });
  return store;
}

function crcOf(bytes: Buffer): string {
  return hex8(crc32c(bytes));
}
