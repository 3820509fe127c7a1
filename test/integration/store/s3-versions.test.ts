import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import {
  type S3Client,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
  PutObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
} from "@aws-sdk/client-s3";
import { names } from "../../../src/store/contract/support.fixture.ts";
import { createS3Store } from "../../../src/store/s3/s3-store.ts";
import type { S3Options } from "../../../src/store/s3/client.ts";
import type { Store } from "../../../src/store/store.ts";
import { type S3Kind, type S3Server, startS3 } from "../../harness/s3-server.ts";
import { rejection } from "../../support/operator-error.ts";
import { type S3FaultProxy, startS3FaultProxy } from "../../support/s3-fault-proxy.ts";
import { optionsFor, rawClient } from "../../support/s3-store.ts";

const signal = AbortSignal.timeout(300_000);
const folder = "some/folder/";

for (const kind of ["versitygw", "minio"] satisfies S3Kind[])
  describe(`versions in a bucket on ${kind}`, () => {
    let server: S3Server;
    let proxy: S3FaultProxy;
    let raw: S3Client;
    let bucket: string;
    let buckets = 0;
    before(async () => {
      server = await startS3(kind);
      proxy = await startS3FaultProxy(server.endpoint);
      raw = rawClient(server);
    });
    after(async () => {
      raw.destroy();
      await proxy[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    });
    beforeEach(() => {
      bucket = `versions-${++buckets}`;
      proxy.seen.length = 0;
      proxy.fault = () => undefined;
    });

    const open = (changes: Partial<S3Options> = { versions: "Remove" }): Store =>
      createS3Store({ ...optionsFor(server, bucket), endpoint: proxy.endpoint, ...changes });

    async function versioned(): Promise<void> {
      await server.createBucket(bucket);
      const VersioningConfiguration = { Status: "Enabled" } as const;
      await raw.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
    }

    /** Writes a version of an object, as a person or another program may. */
    async function write(name: string): Promise<string | undefined> {
      const put = new PutObjectCommand({ Bucket: bucket, Key: folder + name, Body: "x" });
      return (await raw.send(put)).VersionId;
    }

    /** The names of all versions and delete markers in the bucket. */
    async function versions(): Promise<string[]> {
      const { Versions = [], DeleteMarkers = [] } = await raw.send(
        new ListObjectVersionsCommand({ Bucket: bucket }),
      );
      return [...Versions, ...DeleteMarkers].map(({ Key = "" }) => Key.slice(folder.length)).toSorted();
    }

    it("Keep hides an object, and its versions stay", async () => {
      await versioned();
      await using store = open({});
      await store.put("a", [Buffer.from("x")], { signal });
      await store.remove("a", { signal });
      assert.deepEqual(await names(store, ""), []);
      assert.deepEqual(await versions(), ["a", "a"]);
    });

    it("Remove leaves no version and no delete marker of the object, and all those of other objects", async () => {
      await versioned();
      // Two a page: the versions of an object are on several pages.
      await using store = open({ versions: "Remove", pageSize: 2 });
      // Neither server holds an object a-1 and another a-1/b, as S3 does.
      const others = ["a", "a-", "a-1.json", "a-1.json-r", "a-10", "aa", "b/a-1"];
      for (const name of [...others, "a-1", ...others, "a-1"]) await write(name);
      await using keeping = open({});
      await keeping.remove("a-1", { signal });
      await keeping.remove("aa", { signal });
      await write("a-1");
      const rest = (await versions()).filter((name) => name !== "a-1");
      assert.equal((await versions()).length, rest.length + 4);
      await store.remove("a-1", { signal });
      assert.deepEqual(await versions(), rest);
      await store.remove("a-1", { signal });
      await store.remove("aa", { signal });
      assert.deepEqual(
        await versions(),
        rest.filter((name) => name !== "aa"),
      );
    });

    it("Remove is as Keep where the bucket has no versioning", async () => {
      await server.createBucket(bucket);
      await using store = open();
      await store.put("a", [Buffer.from("x")], { signal });
      await store.put("ab", [Buffer.from("x")], { signal });
      await store.remove("a", { signal });
      await store.remove("a", { signal });
      assert.deepEqual(await versions(), ["ab"]);
      assert.ok(!proxy.seen.some(({ url }) => /[?&](versions|versionId)=/.test(url)));
    });

    it("Remove removes all versions where the store does not say whether the bucket has versioning", async () => {
      await versioned();
      await using store = open();
      await store.put("a", [Buffer.from("x")], { signal });
      proxy.fault = ({ url }) =>
        /[?&]versioning(=|&|$)/.test(url) ? { do: "answer", status: 403, code: "AccessDenied" } : undefined;
      await store.remove("a", { signal });
      assert.deepEqual(await versions(), []);
    });

    it("Remove is as Keep where the store knows no versions", async () => {
      await server.createBucket(bucket);
      await using store = open();
      await store.put("a", [Buffer.from("x")], { signal });
      proxy.fault = ({ url }) =>
        /[?&]version(ing|s)(=|&|$)/.test(url)
          ? { do: "answer", status: 501, code: "NotImplemented" }
          : undefined;
      await store.remove("a", { signal });
      assert.deepEqual(await versions(), []);
    });

    for (const lock of ["a retention", "a legal hold"] as const)
      it(`Remove is Refused for an object under ${lock}, which stays listed`, async () => {
        await server.createBucket(bucket, { objectLock: true });
        await using store = open();
        await write("a");
        const VersionId = await write("a");
        const target = { Bucket: bucket, Key: `${folder}a`, VersionId };
        const RetainUntilDate = new Date(Date.now() + 3_600_000);
        if (lock === "a retention")
          await raw.send(
            new PutObjectRetentionCommand({ ...target, Retention: { Mode: "GOVERNANCE", RetainUntilDate } }),
          );
        else await raw.send(new PutObjectLegalHoldCommand({ ...target, LegalHold: { Status: "ON" } }));
        // The second call finds the object as the first has left it.
        for (const _ of [1, 2]) {
          const { message, hint = "" } = await rejection(store.remove("a", { signal }), "Refused");
          assert.match(
            message,
            /^removing a: its version \S+ is under object lock, (until \d{4}-\S+Z|by a legal hold)$/,
          );
          assert.match(hint, /wait until the lock expires .* set versions to Keep.*spec\.s3\.versions/);
          assert.deepEqual(await names(store, ""), ["a"]);
          assert.deepEqual(await versions(), ["a"]);
        }
      });

    it("Remove names the permission that the credentials lack", async () => {
      await versioned();
      await using store = open();
      await store.put("a", [Buffer.from("x")], { signal });
      for (const [pattern, permission] of [
        [/[?&]versions(=|&|$)/, "s3:ListBucketVersions"],
        [/[?&]versionId=/, "s3:DeleteObjectVersion"],
      ] as const) {
        proxy.fault = ({ url }) =>
          pattern.test(url) ? { do: "answer", status: 403, code: "AccessDenied" } : undefined;
        const { message, hint = "" } = await rejection(store.remove("a", { signal }), "Unauthorized");
        assert.match(message, new RegExp(`of a: .*AccessDenied.*; versions Remove needs ${permission}$`));
        assert.match(hint, new RegExp(`^grant the credentials ${permission} `));
        await rejection(store.probe({ signal, write: true }), "Unauthorized");
        assert.deepEqual(await names(store, ""), ["a"], "the probe's object is hidden at least");
      }
    });

    it("Remove leaves no version of a probe's object and of a put that failed", async () => {
      await versioned();
      await using store = open();
      assert.equal((await store.probe({ signal, write: true })).versioning, true);
      assert.deepEqual(await versions(), []);
      const wrong = { "x-amz-checksum-crc32c": "AAAAAA==" };
      proxy.fault = ({ operation, count }) =>
        operation === "Head" && count > 1 ? { do: "alterAnswer", headers: wrong } : undefined;
      proxy.seen.length = 0;
      await rejection(store.put("a", [Buffer.from("x")], { signal }), "VerificationFailed");
      assert.deepEqual(await versions(), []);
    });

    it("a probe succeeds with Remove where the bucket locks every object", async () => {
      await server.createBucket(bucket, { objectLock: true });
      const Rule = { DefaultRetention: { Mode: "GOVERNANCE", Days: 1 } } as const;
      await raw.send(
        new PutObjectLockConfigurationCommand({
          Bucket: bucket,
          ObjectLockConfiguration: { ObjectLockEnabled: "Enabled", Rule },
        }),
      );
      await using store = open();
      assert.equal((await store.probe({ signal, write: true })).objectLock, true);
      assert.deepEqual(await names(store, ""), []);
      await store.put("a", [Buffer.from("x")], { signal });
      await rejection(store.remove("a", { signal }), "Refused");
    });
  });
