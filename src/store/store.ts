/**
 * Where backups are stored. A name is a `/`-separated key below the store's prefix. It does not start or end with `/`,
 * and contains neither `..` nor an empty segment nor a character outside of `[A-Za-z0-9._=-]`. It has at most 800
 * characters, a segment at most 200. Other names are refused with InvalidConfiguration.
 *
 * The contract that every store passes (`store.contract.ts`):
 * - An object is visible whole or not at all. A `put` that fails or is aborted leaves nothing that `list`, `head` or
 *   `get` can see. An unfinished upload or temporary file of it is removed at once where possible, else by `sweep`.
 *   With `takeBack` it may leave its whole object.
 * - Nothing is overwritten: `put` of a name that exists fails with `AlreadyExists`.
 * - Every failure is an OperatorError: NotFound, AlreadyExists, Unauthorized, Unreachable, Timeout,
 *   InvalidConfiguration, VerificationFailed (the store holds other bytes than were sent), StoreFailed, Aborted.
 * - Every call takes a signal and settles soon after it fires.
 * - Memory is bounded by the parts in flight, whatever the object's size.
 */
export interface Store {
  /** Where the store is, for messages and manifests: `s3://bucket/prefix`, `file:///dir`. Holds no credential. */
  readonly url: string;
  /**
   * Where the store is, with the endpoint that `url` leaves out: `s3://bucket/prefix?endpoint=https://host:9000`, as
   * `--store` takes it. Objects of two stores with different locations are not the same ones. Holds no credential.
   */
  readonly location: string;
  /**
   * Checks access and finds the capabilities. Reads only, unless `write` is set: then it puts and removes a small
   * object.
   */
  probe(options: CallOptions & { write: boolean }): Promise<Capabilities>;
  /**
   * Stores the bytes of `source` under `name`. The object becomes visible only after `source` has ended without an
   * error and the store has confirmed what it holds. An error of `source` aborts the put and is rethrown as it is.
   * Chunks may have any size. The caller must not change a chunk after it was yielded.
   */
  put(
    name: string,
    source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: PutOptions,
  ): Promise<StoredObject>;
  /**
   * The bytes of an object, in order. Throws when the answer is short or altered. Of a `range` only a short answer is
   * noticed: the checksum that a store keeps is of the whole object.
   */
  get(name: string, options: GetOptions): AsyncIterable<Uint8Array>;
  /** Undefined when there is no such object. */
  head(name: string, options: CallOptions): Promise<ObjectInfo | undefined>;
  /**
   * Every object whose name starts with `prefix`, in ascending order of names. A listing that fails throws; it never
   * ends early. With `startAfter` only the names that sort after it; the store skips the others, as far as it can.
   */
  list(prefix: string, options: ListOptions): AsyncIterable<ObjectInfo>;
  /**
   * The folders directly in `folder` ("" or a name that ends with `/`), in ascending order, without their objects:
   * `prod/` for `prod/a` and `prod/b/c`. A folder that holds no object may be missing. A listing that fails throws.
   */
  folders(folder: string, options: CallOptions): AsyncIterable<string>;
  /** Succeeds also when there is no such object. */
  remove(name: string, options: RemoveOptions): Promise<void>;
  /**
   * Aborts unfinished puts under `prefix` that were started before `before`. Resolves to their number, with `dryRun` to
   * the number of those that it would abort.
   */
  sweep(prefix: string, options: SweepOptions): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface CallOptions {
  signal: AbortSignal;
}

export interface RemoveOptions extends CallOptions {
  /**
   * An object under object lock is only hidden, where the store would refuse to remove all its versions. For objects
   * that nobody may miss. Absent: Refused.
   */
  hideLocked?: boolean;
}

export interface ListOptions extends CallOptions {
  startAfter?: string;
}

export interface GetOptions extends CallOptions {
  range?: ByteRange;
}

/**
 * A part of an object. Without `length` it goes to the end of the object. A part that the object does not have in full
 * fails with VerificationFailed; the part of no bytes at the object's end does not.
 */
export interface ByteRange {
  offset: number;
  length?: number;
}

export interface SweepOptions extends CallOptions {
  before: Date;
  /** Sweeps only puts of names for which this is true. Absent: all. */
  only?: (name: string) => boolean;
  /** Aborts nothing: finds what a sweep would abort. */
  dryRun?: boolean;
  /** Called with each put that was aborted, or would be. */
  onSwept?: (put: UnfinishedPut) => void;
}

export interface UnfinishedPut {
  name: string;
  /** When it was started; in a directory, when it was last written to. */
  begun: Date;
  /** Bytes, where the store lists them. */
  size?: number;
}

export interface PutOptions extends CallOptions {
  contentType?: string;
  /**
   * Configured: the class that the store was opened with. Default: the bucket's default class, for objects that have to
   * be readable without delay, such as manifests. Absent: Configured.
   */
  storageClass?: "Configured" | "Default";
  /**
   * Called when the put fails although its whole object is in the store: true removes the object. For objects that
   * others may have read meanwhile; `head` tells the caller whether the object is there. Absent: it is removed.
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
  /** Changes with the bytes, where the store offers it (`list` only). */
  etag?: string;
  /** CRC-32C of the whole object as the store computed it, 8 hex digits, where the store offers it (`head` only). */
  crc32c?: string;
}

export interface StoredObject {
  name: string;
  size: number;
  /** CRC-32C of the bytes that were sent, 8 hex digits. */
  crc32c: string;
  /**
   * How the stored bytes were compared with the sent ones.
   * FullObjectCRC32C: the store computed the CRC of the whole object, and it equals that of the sent bytes.
   * PartDigests: the store accepted each part with its digest, and the size of the object is right.
   * ReadBack: the bytes were read again (file store: after fsync, before the object becomes visible; S3: after it).
   */
  proof: "FullObjectCRC32C" | "PartDigests" | "ReadBack";
}

/** What a probe has seen to work. What a read-only probe cannot try is false. */
export interface Capabilities {
  /** An object is not overwritten, not even by two writers at the same moment. */
  conditionalWrites: boolean;
  /** The store computes the CRC-32C of a whole object itself, and is asked for it. */
  checksums: boolean;
  /** The bucket can keep objects from being deleted for a time. */
  objectLock: boolean;
  /** The bucket keeps the earlier versions of objects that are deleted. Absent: the store does not say. */
  versioning?: boolean;
}
