import { crc32c } from "@node-rs/crc32";
import { OperatorError } from "../core/errors.ts";
import type { ObjectInfo, PutOptions, Store } from "../store/store.ts";

/** A store that keeps its contract in memory: what is in `objects` is visible. */
export interface MemoryStore extends Store {
  readonly objects: Map<string, Buffer>;
  /** Names of put calls, in order. */
  readonly puts: string[];
  /** Asked at the beginning of each put: what it throws is what the put throws. */
  beforePut: (name: string, options: PutOptions) => void | Promise<void>;
  /** Awaited before each chunk that a put takes. */
  beforeChunk: () => void | Promise<void>;
}

export function memoryStore(): MemoryStore {
  const objects = new Map<string, Buffer>();
  const puts: string[] = [];
  const describe = (name: string, bytes: Buffer): ObjectInfo => ({
    name,
    size: bytes.length,
    modified: new Date(0),
  });
  return {
    url: "memory://store",
    objects,
    puts,
    beforePut: () => {},
    beforeChunk: () => {},
    async probe() {
      return { conditionalWrites: true, checksums: true, objectLock: false };
    },
    async put(name, source, options) {
      puts.push(name);
      await this.beforePut(name, options);
      if (objects.has(name)) throw new OperatorError("AlreadyExists", `${name} exists`);
      const chunks: Uint8Array[] = [];
      for await (const chunk of source) {
        await this.beforeChunk();
        options.signal.throwIfAborted();
        chunks.push(Buffer.from(chunk));
      }
      options.signal.throwIfAborted();
      const bytes = Buffer.concat(chunks);
      objects.set(name, bytes);
      const crc = (crc32c(bytes) >>> 0).toString(16).padStart(8, "0");
      return { name, size: bytes.length, crc32c: crc, proof: "FullObjectCRC32C" };
    },
    async *get(name) {
      const bytes = objects.get(name);
      if (bytes === undefined) throw new OperatorError("NotFound", `${name} is not there`);
      for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
    },
    async head(name) {
      const bytes = objects.get(name);
      return bytes === undefined ? undefined : describe(name, bytes);
    },
    async *list(prefix) {
      for (const [name, bytes] of [...objects].toSorted(([a], [b]) => (a < b ? -1 : 1)))
        if (name.startsWith(prefix)) yield describe(name, bytes);
    },
    async remove(name) {
      objects.delete(name);
    },
    async sweep() {
      return 0;
    },
    async [Symbol.asyncDispose]() {},
  };
}
