import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { readAll, signal, assertSameBytes } from "../../../src/store/contract/support.fixture.ts";
import { createS3Store } from "../../../src/store/s3/s3-store.ts";
import { type S3Checksum, s3Checksums } from "../../../src/store/s3/settings.ts";
import type { StoredObject } from "../../../src/store/store.ts";
import { storeContract } from "../../../src/store/store.contract.ts";
import { type S3Kind, startS3 } from "../../harness/s3-server.ts";
import { type S3Request, startS3FaultProxy } from "../../support/s3-fault-proxy.ts";
import { optionsFor, smallestPart, storeUnderTest } from "../../support/s3-store.ts";

const names = { versitygw: "versitygw", minio: "MinIO" } satisfies Record<S3Kind, string>;

/** The contract of a store with each setting of its checksum, and what that setting sends. */
export function s3Contract(kind: S3Kind): void {
  for (const checksum of s3Checksums) checksumContract(kind, checksum);

  it(`docs/reference/stores.md says which version of ${names[kind]} the contract runs against`, async () => {
    const read = (path: string) => readFile(new URL(`../../../${path}`, import.meta.url), "utf8");
    const required = new RegExp(`/${kind} (v\\S+)`).exec(await read(`test/tools/${kind}/go.mod`))?.[1];
    assert.ok((await read("docs/reference/stores.md")).includes(`| ${names[kind]} ${required} |`), required);
  });
}

function checksumContract(kind: S3Kind, checksum: S3Checksum): void {
  const name = names[kind];
  describe(`checksum ${checksum}`, () => {
    const sent: S3Request[] = [];

    storeContract(`S3 on ${name} with checksum ${checksum}`, async () => {
      await using stack = new AsyncDisposableStack();
      const server = await startS3(kind);
      const proxy = stack.use(await startS3FaultProxy(server.endpoint));
      const under = stack.use(
        await storeUnderTest(server, "contract", { checksum, endpoint: proxy.endpoint }),
      );
      stack.defer(() => void sent.push(...proxy.seen));
      const opened = stack.move();
      return { ...under, [Symbol.asyncDispose]: () => opened.disposeAsync() };
    });

    it(`is what ${name} got with every object`, () => {
      const puts = sent.filter(({ operation }) => operation === "Put" || operation === "Part");
      const creates = sent.filter(({ operation }) => operation === "Create");
      assert.ok(puts.length > 50 && creates.length > 5, `${puts.length} puts, ${creates.length} uploads`);
      const headersOf = (requests: S3Request[]) =>
        new Set(requests.map((request) => digestsOf(request).join()));
      assert.deepEqual(headersOf(creates), new Set([digests[checksum].create]));
      assert.deepEqual(headersOf(puts), new Set([digests[checksum].put]));
      const others = sent.filter(({ operation }) => !["Put", "Part", "Create"].includes(operation));
      const some = [...headersOf(others)].filter((headers) => headers !== "");
      assert.equal(some.length > 0, checksum === "Auto" || checksum === "CRC32C", some.join(" "));
    });

    it(`gives the proofs of ${checksum} on ${name}`, async () => {
      await using server = await startS3(kind);
      await server.createBucket("proofs");
      await using store = createS3Store({ ...optionsFor(server, "proofs"), checksum });
      const proofs: StoredObject["proof"][] = [];
      for (const size of [1_000, 2 * smallestPart]) {
        const bytes = randomBytes(size);
        proofs.push((await store.put(`of/${size}`, [bytes], { signal })).proof);
        assertSameBytes(await readAll(store, `of/${size}`), bytes);
      }
      assert.deepEqual(proofs, proofsOf[checksum]);
      const { checksums } = await store.probe({ signal, write: true });
      assert.equal(checksums, checksum === "Auto" || checksum === "CRC32C");
    });
  });
}

/** Of a small object and of one in parts. */
const proofsOf: Record<S3Checksum, StoredObject["proof"][]> = {
  Auto: ["FullObjectCRC32C", "FullObjectCRC32C"],
  CRC32C: ["FullObjectCRC32C", "FullObjectCRC32C"],
  MD5: ["ReadBack", "PartDigests"],
  None: ["ReadBack", "ReadBack"],
};

const crc = {
  create: "x-amz-checksum-algorithm,x-amz-checksum-type",
  put: "x-amz-checksum-crc32c",
};
/** The headers of requests that start an upload, and of those that store bytes. */
const digests: Record<S3Checksum, { create: string; put: string }> = {
  Auto: crc,
  CRC32C: crc,
  MD5: { create: "", put: "content-md5" },
  None: { create: "", put: "" },
};

/** The headers of a request that belong to a digest. */
function digestsOf({ headers }: S3Request): string[] {
  return Object.keys(headers)
    .filter((header) => /^content-md5$|^x-amz-(sdk-)?checksum-|^x-amz-trailer$/.test(header))
    .toSorted();
}
