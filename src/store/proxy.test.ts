import assert from "node:assert/strict";
import { createServer as createHttpServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { describe, it } from "node:test";
import { createAuthority } from "../../test/harness/certificates.ts";
import { startForwardProxy } from "../../test/support/forward-proxy.ts";
import { listen } from "../../test/support/listen.ts";
import { OperatorError } from "../core/errors.ts";
import { openStore } from "./open.ts";
import { proxyOf } from "./proxy.ts";
import type { StoreConfig } from "./kinds.ts";

const signal = AbortSignal.timeout(30_000);
const credentials = { accessKeyId: "a", secretAccessKey: "b" };
const answer: RequestListener = (_, response) =>
  void response.writeHead(200, { "content-type": "application/xml" }).end("<ListBucketResult/>");

function storeAt(endpoint: string, caBundlePem?: string): StoreConfig & { kind: "s3" } {
  const ca = caBundlePem === undefined ? {} : { caBundlePem };
  const place = { bucket: "bbb", prefix: "", region: "us-east-1", endpoint, forcePathStyle: true };
  return { kind: "s3", ...place, credentials, ...ca, ambient: false };
}

async function probe(config: StoreConfig & { kind: "s3" }, env: Record<string, string>): Promise<void> {
  await using store = await openStore(config, { env });
  await store.probe({ signal, write: false });
}

async function listening(server: Server) {
  const port = await listen(server);
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

describe("a proxy of the environment", () => {
  it("carries the requests to an https store, whose certificate is still verified", async () => {
    const authority = await createAuthority("store authority");
    const { certPem, keyPem } = await authority.issue({ commonName: "s3.invalid", hosts: ["s3.invalid"] });
    await using store = await listening(createTlsServer({ cert: certPem, key: keyPem }, answer));
    await using proxy = await startForwardProxy(store.port);
    const env = { HTTPS_PROXY: proxy.url };
    await probe(storeAt("https://s3.invalid", authority.caPem), env);
    assert.deepEqual([...new Set(proxy.seen)], ["CONNECT s3.invalid:443"]);
    await assert.rejects(probe(storeAt("https://other.invalid", authority.caPem), env), {
      code: "InvalidConfiguration",
    });
  });

  it("carries the requests to an http store", async () => {
    await using store = await listening(createHttpServer(answer));
    await using proxy = await startForwardProxy(store.port);
    await probe(storeAt("http://s3.invalid:9000"), { http_proxy: proxy.url });
    assert.match(proxy.seen[0] ?? "", /^GET http:\/\/s3\.invalid:9000\/bbb/);
  });

  it("is not used for a host of NO_PROXY", async () => {
    await using store = await listening(createHttpServer(answer));
    await using proxy = await startForwardProxy(store.port);
    const env = { HTTP_PROXY: proxy.url, NO_PROXY: "example.com, 127.0.0.0/8" };
    await probe(storeAt(`http://127.0.0.1:${store.port}`), env);
    assert.deepEqual(proxy.seen, []);
  });

  it("is named by the error when it refuses, without its password", async () => {
    await using proxy = await startForwardProxy(1, 407);
    const HTTPS_PROXY = proxy.url.replace("//", "//user:hunter2@");
    const config = { ...storeAt("https://s3.invalid"), attempts: 1 };
    await assert.rejects(probe(config, { HTTPS_PROXY }), (error: unknown) => {
      assert.ok(error instanceof OperatorError);
      assert.equal(error.code, "Unreachable");
      assert.match(error.message, /407/);
      assert.match(error.hint ?? "", /HTTPS_PROXY and NO_PROXY/);
      assert.doesNotMatch(`${error.stack} ${String(error.cause)}`, /hunter2/);
      return true;
    });
  });
});

describe("proxyOf", () => {
  it("is undefined without a proxy", () => {
    assert.equal(proxyOf({ NO_PROXY: "a", HTTPS_PROXY: "" }), undefined);
  });

  it("prefers lower case, and completes a URL without a scheme", () => {
    assert.deepEqual(proxyOf({ https_proxy: "low:3128", HTTPS_PROXY: "http://up:1" }), {
      HTTPS_PROXY: "http://low:3128/",
    });
  });

  it("includes subdomains, and writes networks as ranges", () => {
    const exceptions = "example.com,.svc, 10.96.1.2/12 ,10.0.0.1,*,host:80,fd00::/8";
    assert.equal(
      proxyOf({ HTTP_PROXY: "http://p:1", NO_PROXY: exceptions })?.NO_PROXY,
      "example.com,.example.com,.svc,10.96.0.0-10.111.255.255,10.0.0.1,*,host:80,fd00::/8",
    );
  });

  it("refuses what is no http proxy, and does not quote it", () => {
    for (const HTTPS_PROXY of ["socks5://u:hunter2@p:1080", "http://"])
      assert.throws(
        () => proxyOf({ HTTPS_PROXY }),
        ({ code, message }: OperatorError) => code === "InvalidConfiguration" && !message.includes("hunter2"),
      );
  });
});
