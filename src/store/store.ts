/**
 * Where backups live. A name is a `/`-separated key below the store's prefix; it never starts or ends
 * with `/` and never holds `..`, an empty segment or a character outside `[A-Za-z0-9._=-]`;
 * it has at most 800 characters, and 200 between two `/`. Anything else is refused with InvalidConfiguration.
 *
 * The contract that every store passes (`store.contract.ts`):
 * - An object is visible whole or not at all. A `put` that fails or is aborted leaves nothing that `list`,
 *   `head` or `get` can see; what it may leave behind unseen (an unfinished upload, a temporary file) is
 *   aborted at once where possible, and else found by `sweep`. With `takeBack` it may leave its whole object.
 * - Nothing is ever overwritten: `put` on a name that exists fails with `AlreadyExists`.
 * - Every failure is an OperatorError: NotFound, AlreadyExists, Unauthorized, Unreachable, Timeout,
 *   InvalidConfiguration, VerificationFailed (the store holds other bytes than were sent), StoreFailed, Aborted.
 * - Every call takes a signal and settles soon after it fires.
 * - Memory is bounded by the parts in flight, whatever the object's size.
 */
export interface Store {
  /** Where it is, for people and manifests: `s3://bucket/prefix`, `file:///dir`. Never holds a credential. */
  readonly url: string;
  /** Reachable, permitted, and what it can do. A read-only probe unless `write` is set, which also puts and removes a small object. */
  probe(options: CallOptions & { write: boolean }): Promise<Capabilities>;
  /**
   * Store the bytes of `source` under `name`. The object becomes visible only after `source` has ended
   * normally and the store has confirmed what it holds; a throw from `source` aborts and is rethrown as it is.
   * Chunks may be of any size and must not be changed by the caller after they were yielded.
   */
  put(
    name: string,
    source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: PutOptions,
  ): Promise<StoredObject>;
  /** The bytes of an object, in order. A short or altered answer is a failure, never a silent end. */
  get(name: string, options: CallOptions): AsyncIterable<Uint8Array>;
  /** Undefined when there is no such object. */
  head(name: string, options: CallOptions): Promise<ObjectInfo | undefined>;
  /** Every object whose name starts with `prefix`, in ascending order of names, page after page. A failed listing throws, it never ends early. */
  list(prefix: string, options: CallOptions): AsyncIterable<ObjectInfo>;
  /** Idempotent: removing what is not there succeeds. */
  remove(name: string, options: CallOptions): Promise<void>;
  /** Abort unfinished puts under `prefix` that were started before `before`. Resolves to how many there were. */
  sweep(prefix: string, options: SweepOptions): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface CallOptions {
  signal: AbortSignal;
}

export interface SweepOptions extends CallOptions {
  before: Date;
  /** Only puts of names that this accepts; all by default. */
  only?: (name: string) => boolean;
}

export interface PutOptions extends CallOptions {
  contentType?: string;
  /**
   * Configured: the class that the store was opened with. Default: the bucket's own, for what has to stay readable at
   * once, such as manifests. Absent: Configured.
   */
  storageClass?: "Configured" | "Default";
  /**
   * Asked when the put fails and its object is there all the same, whole: is it to be removed again? For objects that
   * others may have acted on meanwhile; the caller finds out with `head` whether it is there. Absent: it is removed.
   */
  takeBack?: (signal: AbortSignal) => Promise<boolean>;
  /** Called with the bytes the store has acknowledged so far. */
  onProgress?: (storedBytes: number) => void;
}

export interface ObjectInfo {
  name: string;
  /** Bytes. */
  size: number;
  modified: Date;
  /** CRC-32C of the whole object as the store computed it, 8 hex digits, where the store offers it (`head` only). */
  crc32c?: string;
}

export interface StoredObject {
  name: string;
  size: number;
  /** CRC-32C of the bytes that were sent, 8 hex digits. */
  crc32c: string;
  /**
   * What the agreement between sent and stored bytes rests on.
   * FullObjectCRC32C: the store computed the CRC of the whole object and it equals ours.
   * PartDigests: each part was accepted under its own digest, and the size of the whole agrees.
   * ReadBack: the bytes were read again (file store: after fsync, before the object becomes visible).
   */
  proof: "FullObjectCRC32C" | "PartDigests" | "ReadBack";
}

/** What was seen to work; what a read-only probe cannot try is false. */
export interface Capabilities {
  /** An object is never overwritten, even by two writers at once. */
  conditionalWrites: boolean;
  /** The store computes the CRC-32C of a whole object itself. */
  checksums: boolean;
  /** The bucket can keep objects from being deleted for a time. */
  objectLock: boolean;
}
