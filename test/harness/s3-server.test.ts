import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { createAuthority } from "./certificates.ts";
import { type S3Server, startS3 } from "./s3-server.ts";

function clientOf(server: S3Server, caPem?: string): S3Client & Disposable {
  const { endpoint, region, accessKeyId, secretAccessKey } = server;
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    ...(caPem === undefined ? {} : { requestHandler: { httpsAgent: { ca: caPem } } }),
  });
  return Object.assign(client, { [Symbol.dispose]: () => client.destroy() });
}

for (const kind of ["versitygw", "minio"] as const) {
  describe(`objects in ${kind}`, () => {
    it("are returned, also after a restart", async () => {
      await using server = await startS3(kind);
      using client = clientOf(server);
      await server.createBucket("backups");
      const object = { Bucket: "backups", Key: "a/b" };
      await client.send(new PutObjectCommand({ ...object, Body: "hello" }));
      await server.restart();
      const { Body } = await client.send(new GetObjectCommand(object));
      assert.equal(await Body?.transformToString(), "hello");
    });

    it("are not overwritten under If-None-Match", async () => {
      await using server = await startS3(kind);
      using client = clientOf(server);
      await server.createBucket("backups");
      const put = { Bucket: "backups", Key: "manifest", Body: "first", IfNoneMatch: "*" };
      await client.send(new PutObjectCommand(put));
      await assert.rejects(client.send(new PutObjectCommand(put)), { name: "PreconditionFailed" });
    });

    it("are not deleted while they are locked", async () => {
      await using server = await startS3(kind);
      using client = clientOf(server);
      await server.createBucket("locked", { objectLock: true });
      const object = { Bucket: "locked", Key: "a" };
      await client.send(
        new PutObjectCommand({
          ...object,
          Body: "x",
          ObjectLockMode: "COMPLIANCE",
          ObjectLockRetainUntilDate: new Date(Date.now() + 60_000),
        }),
      );
      const { VersionId } = await client.send(new HeadObjectCommand(object));
      assert.ok(VersionId !== undefined);
      await assert.rejects(
        client.send(new DeleteObjectCommand({ ...object, VersionId })),
        /object lock|WORM protected/,
      );
    });
  });

  describe(`the server of ${kind}`, () => {
    it("serves https that a client accepts only with the authority", async () => {
      const authority = await createAuthority("test");
      await using server = await startS3(kind, { tls: authority });
      await server.createBucket("backups");
      const put = new PutObjectCommand({ Bucket: "backups", Key: "a", Body: "x" });
      using client = clientOf(server, authority.caPem);
      await client.send(put);
      using untrusting = clientOf(server);
      await assert.rejects(untrusting.send(put), /unable to (?:verify|get)|self[- ]signed/i);
    });

    it("answers a request from a pause after it is resumed", async () => {
      await using server = await startS3(kind);
      using client = clientOf(server);
      await server.createBucket("backups");
      server.pause();
      let answered = false;
      const put = client.send(new PutObjectCommand({ Bucket: "backups", Key: "a", Body: "x" })).then(() => {
        answered = true;
        return answered;
      });
      await assert.rejects(fetch(server.endpoint, { signal: AbortSignal.timeout(300) }), {
        name: "TimeoutError",
      });
      assert.equal(answered, false);
      server.resume();
      assert.equal(await put, true);
    });
  });
}
