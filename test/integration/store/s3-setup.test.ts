import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { inspect } from "node:util";
import { OperatorError } from "../../../src/core/errors.ts";
import { openStore } from "../../../src/store/open.ts";
import { createS3Store } from "../../../src/store/s3/s3-store.ts";
import type { Store } from "../../../src/store/store.ts";
import { parseStoreUrl } from "../../../src/store/url.ts";
import { createAuthority } from "../../harness/certificates.ts";
import { type S3Kind, type S3Server, startS3 } from "../../harness/s3-server.ts";
import { tempDir } from "../../harness/temp-dir.ts";
import { freePorts } from "../../harness/process.ts";
import { rejection } from "../../support/operator-error.ts";
import { optionsFor, smallestPart } from "../../support/s3-store.ts";

const signal = AbortSignal.timeout(300_000);

for (const kind of ["versitygw", "minio"] satisfies S3Kind[]) {
  describe(`a store on ${kind}`, () => {
    let server: S3Server;
    before(async () => {
      server = await startS3(kind);
      await server.createBucket("there");
    });
    after(async () => server[Symbol.asyncDispose]());

    const calls = (store: Store): [string, () => Promise<unknown>][] => [
      ["probe", () => store.probe({ signal, write: false })],
      ["put", () => store.put("a", [Buffer.from("x")], { signal })],
      ["get", () => Array.fromAsync(store.get("a", { signal }))],
      ["list", () => Array.fromAsync(store.list("", { signal }))],
      ["remove", () => store.remove("a", { signal })],
      ["sweep", () => store.sweep("", { signal, before: new Date() })],
    ];

    it("is Unauthorized with a wrong access key, which is in no message", async () => {
      const credentials = { accessKeyId: "UNKNOWN-ACCESS-KEY", secretAccessKey: "a-very-secret-key" };
      await using store = createS3Store({ ...optionsFor(server, "there"), credentials });
      for (const [name, call] of calls(store)) {
        const error = await rejection(call(), "Unauthorized", name);
        assert.doesNotMatch(
          inspect(error, { depth: 9, showHidden: true }),
          /a-very-secret-key|UNKNOWN-ACCESS-KEY/,
        );
      }
    });

    it("is Unauthorized with a wrong secret key, which is in no message", async () => {
      const credentials = { accessKeyId: server.accessKeyId, secretAccessKey: "a-very-secret-key" };
      await using store = createS3Store({ ...optionsFor(server, "there"), credentials });
      for (const [name, call] of calls(store)) {
        const error = await rejection(call(), "Unauthorized", name);
        const shown = inspect(error, { depth: 9, showHidden: true });
        assert.doesNotMatch(shown, /a-very-secret-key|AWS4-HMAC|[Aa]uthorization:|Signature=/);
        assert.doesNotMatch(shown, new RegExp(server.accessKeyId));
      }
    });

    it("is NotFound without its bucket", async () => {
      await using store = createS3Store(optionsFor(server, "not-there"));
      for (const [name, call] of calls(store)) {
        const error = await rejection(call(), "NotFound", name);
        assert.match(error.message, /bucket not-there does not exist at http:\/\/127/, name);
        assert.match(error.hint ?? "", /create the bucket/);
      }
    });

    // MinIO accepts any region when it is configured with none.
    if (kind === "versitygw")
      it("is InvalidConfiguration with a wrong region, and the hint has the right one", async () => {
        await using store = createS3Store({ ...optionsFor(server, "there"), region: "mars-north-1" });
        const error = await rejection(store.probe({ signal, write: false }), "InvalidConfiguration");
        assert.match(error.message, /mars-north-1/);
        assert.match(error.hint ?? "", /us-east-1/);
      });

    it("is opened by its URL and the environment", async () => {
      const url = `s3://there/by/url?endpoint=${encodeURIComponent(server.endpoint)}&pathStyle=true`;
      const env = {
        AWS_ACCESS_KEY_ID: server.accessKeyId,
        AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
        AWS_REGION: server.region,
      };
      await using store = await openStore(parseStoreUrl(url), { env });
      assert.equal(store.url, "s3://there/by/url");
      assert.equal(store.location, `s3://there/by/url?endpoint=${server.endpoint}`);
      assert.deepEqual(await store.probe({ signal, write: true }), {
        conditionalWrites: true,
        checksums: true,
        objectLock: false,
        versioning: false,
      });
      await server.createBucket("locked", { objectLock: true });
      await using locked = createS3Store(optionsFor(server, "locked"));
      const { objectLock, versioning } = await locked.probe({ signal, write: false });
      assert.deepEqual([objectLock, versioning], [true, true]);
    });

    it("is Unreachable when the server is killed during a part", async () => {
      const killed = await startS3(kind);
      await using _ = killed;
      await killed.createBucket("there");
      await using store = createS3Store({ ...optionsFor(killed, "there"), attempts: 2 });
      async function* source() {
        yield randomBytes(smallestPart + 1);
        await killed.process.kill();
        yield randomBytes(3 * smallestPart);
      }
      const error = await rejection(store.put("a", source(), { signal }), "Unreachable");
      assert.equal(error.permanent, false);
    });

    it("fails with Timeout when the server is paused", async () => {
      const timeouts = { stallMs: 500, connectMs: 500 };
      await using store = createS3Store({ ...optionsFor(server, "there"), attempts: 2, timeouts });
      server.pause();
      try {
        await rejection(store.head("a", { signal }), "Timeout");
        const stop = new AbortController();
        const put = store.put("a", [randomBytes(100)], { signal: stop.signal });
        stop.abort();
        await rejection(put, "Aborted");
      } finally {
        server.resume();
      }
    });

    it("does not return an object that was removed from a bucket with object lock", async () => {
      await server.createBucket("forever", { objectLock: true });
      await using store = createS3Store(optionsFor(server, "forever"));
      await store.put("a", [Buffer.from("x")], { signal });
      await store.remove("a", { signal });
      assert.equal(await store.head("a", { signal }), undefined);
    });
  });
}

describe("a store over TLS", () => {
  it("is trusted by a CA bundle of the options or of AWS_CA_BUNDLE, and not without one", async () => {
    const authority = await createAuthority("store authority");
    await using server = await startS3("versitygw", { tls: authority });
    await server.createBucket("there");
    const options = optionsFor(server, "there");
    const bytes = randomBytes(2 * smallestPart);

    await using trusting = createS3Store({ ...options, caBundlePem: authority.caPem });
    assert.equal((await trusting.put("a", [bytes], { signal })).proof, "FullObjectCRC32C");
    assert.ok(Buffer.concat(await Array.fromAsync(trusting.get("a", { signal }))).equals(bytes));

    await using directory = await tempDir("bundle");
    const bundle = join(directory.path, "ca.pem");
    await writeFile(bundle, authority.caPem);
    const config = { ...options, kind: "s3" } as const;
    await using byEnvironment = await openStore(config, { env: { AWS_CA_BUNDLE: bundle } });
    assert.equal((await byEnvironment.head("a", { signal }))?.size, bytes.length);

    await using untrusting = createS3Store(options);
    const error = await rejection(untrusting.probe({ signal, write: false }), "InvalidConfiguration");
    assert.match(error.message, /certificate at https:\/\/127\.0\.0\.1:\d+ cannot be trusted/);
    assert.match(error.hint ?? "", /caBundleSecretRef.*AWS_CA_BUNDLE/);

    const plain = server.endpoint.replace("https:", "http:");
    await using plainHttp = createS3Store({ ...options, endpoint: plain, attempts: 1 });
    await assert.rejects(plainHttp.probe({ signal, write: false }), OperatorError);
  });

  it("gives the hint that the endpoint speaks plain http", async () => {
    await using server = await startS3("versitygw");
    const endpoint = server.endpoint.replace("http:", "https:");
    await using store = createS3Store({ ...optionsFor(server, "there"), endpoint });
    const error = await rejection(store.probe({ signal, write: false }), "InvalidConfiguration");
    assert.match(error.hint ?? "", /plain http/);
  });
});

describe("a store that cannot be reached", () => {
  it("is Unreachable, and the message has the endpoint without its user", async () => {
    const [port] = await freePorts(1);
    await using store = createS3Store({
      bucket: "there",
      prefix: "",
      endpoint: `http://someone:hidden@127.0.0.1:${port}`,
      region: "us-east-1",
      credentials: { accessKeyId: "a", secretAccessKey: "b" },
      attempts: 2,
    });
    const error = await rejection(store.probe({ signal, write: false }), "Unreachable");
    assert.match(error.message, new RegExp(`connection refused at http://127\\.0\\.0\\.1:${port}`));
    assert.doesNotMatch(inspect(error, { depth: 9 }), /hidden|someone/);
  });

  it("is Unreachable when its name does not resolve", async () => {
    await using store = createS3Store({
      bucket: "there",
      prefix: "",
      endpoint: "http://store.invalid",
      region: "us-east-1",
      credentials: { accessKeyId: "a", secretAccessKey: "b" },
      attempts: 1,
    });
    await rejection(store.probe({ signal, write: false }), "Unreachable");
  });
});

describe("a store without credentials", () => {
  it("is Unauthorized, and the hint names the variables", async () => {
    await using server = await startS3("versitygw");
    const { credentials: _, ...options } = optionsFor(server, "there");
    process.env["AWS_EC2_METADATA_DISABLED"] = "true";
    await using store = createS3Store(options);
    const error = await rejection(store.probe({ signal, write: false }), "Unauthorized");
    delete process.env["AWS_EC2_METADATA_DISABLED"];
    assert.match(error.hint ?? "", /AWS_ACCESS_KEY_ID/);
  });
});
