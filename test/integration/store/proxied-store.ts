import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, beforeEach } from "node:test";
import type { S3Client } from "@aws-sdk/client-s3";
import { crc32c } from "@node-rs/crc32";
import type { ErrorCode, OperatorError } from "../../../src/core/errors.ts";
import { hex8 } from "../../../src/core/hex.ts";
import type { S3Options } from "../../../src/store/s3/client.ts";
import { createS3Store } from "../../../src/store/s3/s3-store.ts";
import type { Store } from "../../../src/store/store.ts";
import { type S3Server, startS3 } from "../../harness/s3-server.ts";
import { rejection } from "../../support/operator-error.ts";
import {
  type S3Fault,
  type S3FaultProxy,
  type S3Request,
  startS3FaultProxy,
} from "../../support/s3-fault-proxy.ts";
import { optionsFor, rawClient, smallestPart, unfinishedUploads } from "../../support/s3-store.ts";

export const bucket = "faults";
export const signal = AbortSignal.timeout(300_000);

/** Content that a put sends in four parts. */
export const inParts = randomBytes(3 * smallestPart + 1);
/** Content that a put sends in one request. */
export const small = randomBytes(10_000);

/** An S3 store behind a proxy that injects faults. Each test has an empty prefix and a new store. */
export class ProxiedStore {
  #server: S3Server | undefined;
  #proxy: S3FaultProxy | undefined;
  #raw: S3Client | undefined;
  #options: S3Options | undefined;
  #store: Store | undefined;

  /** Registers the hooks that start and stop the servers of a test file. */
  constructor() {
    let tests = 0;
    before(async () => {
      this.#server = await startS3("versitygw");
      await this.#server.createBucket(bucket);
      this.#proxy = await startS3FaultProxy(this.#server.endpoint);
      this.#raw = rawClient(this.#server);
    });
    beforeEach(() => {
      tests += 1;
      const { endpoint } = this.proxy;
      this.#options = { ...optionsFor(this.server, bucket), endpoint, prefix: `test-${tests}` };
      this.#store = createS3Store(this.#options);
      this.proxy.seen.length = 0;
      this.proxy.fault = () => undefined;
    });
    after(async () => {
      this.#raw?.destroy();
      await this.#proxy?.[Symbol.asyncDispose]();
      await this.#server?.[Symbol.asyncDispose]();
    });
  }

  get server(): S3Server {
    return this.#server ?? assert.fail("the server has not started");
  }
  get proxy(): S3FaultProxy {
    return this.#proxy ?? assert.fail("the proxy has not started");
  }
  /** A client that bypasses the proxy. */
  get raw(): S3Client {
    return this.#raw ?? assert.fail("the server has not started");
  }
  get options(): S3Options {
    return this.#options ?? assert.fail("no test runs");
  }
  get store(): Store {
    return this.#store ?? assert.fail("no test runs");
  }

  /** Replaces the store by one with other options. */
  reopen(changes: Partial<S3Options>): void {
    this.#store = createS3Store({ ...this.options, ...changes });
  }

  put(name: string, bytes: Buffer) {
    return this.store.put(name, [bytes], { signal });
  }

  /** Requests of an operation since the test began. */
  count(operation: S3Request["operation"]): number {
    return this.proxy.seen.filter((request) => request.operation === operation).length;
  }

  /** Applies the fault to the first requests of an operation. */
  failFirst(operation: S3Request["operation"], fault: S3Fault, times = 1): void {
    this.proxy.fault = (request) =>
      request.operation === operation && request.count <= times ? fault : undefined;
  }

  /** What the server holds, read without the proxy: "nothing", "these bytes", or how many other bytes. */
  async held(name: string, expected: Buffer): Promise<string> {
    await using direct = createS3Store({ ...this.options, endpoint: this.server.endpoint });
    if ((await direct.head(name, { signal })) === undefined) return "nothing";
    return comparison(Buffer.concat(await Array.fromAsync(direct.get(name, { signal }))), expected);
  }

  unfinished(): Promise<string[]> {
    return unfinishedUploads(this.raw, bucket);
  }

  async assertStores(name: string, bytes: Buffer): Promise<void> {
    const stored = await this.put(name, bytes);
    assert.equal(stored.crc32c, hex8(crc32c(bytes)));
    assert.equal(await this.held(name, bytes), "these bytes");
    assert.deepEqual(await this.unfinished(), []);
  }

  async assertFailsAndLeavesNothing(name: string, bytes: Buffer, code: ErrorCode): Promise<OperatorError> {
    const error = await rejection(this.put(name, bytes), code);
    assert.equal(await this.held(name, bytes), "nothing");
    assert.deepEqual(await this.unfinished(), []);
    return error;
  }
}

/** A text, since printing a failed deepEqual of large buffers takes minutes. */
export function comparison(found: Buffer, expected: Buffer): string {
  return found.equals(expected) ? "these bytes" : `${found.length} bytes, which differ`;
}
