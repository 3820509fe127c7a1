import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { describe, it } from "node:test";
import { createAuthority } from "../../test/harness/certificates.ts";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { startForwardProxy } from "../../test/support/forward-proxy.ts";
import { listen } from "../../test/support/listen.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import { build } from "../cli/program.ts";
import { restoreOf, restoredSource } from "../core/restore/restore.fixture.ts";
import { memberJob } from "../restore/kubernetes/job.ts";
import { factsOf } from "../store/kinds.ts";
import { type PermissionOptions, permissionsOf } from "./permissions.ts";
import { readerOf, storeOf } from "./store.fixture.ts";
import { jobStore } from "./store-settings.ts";

const bucket = "s3://platform-backups";
const { signal } = new AbortController();
const keys = { AWS_ACCESS_KEY_ID: "KEY", AWS_SECRET_ACCESS_KEY: "hunter2" };
const secrets = { keys, ca: { "ca.crt": "-----BEGIN CERTIFICATE-----\nown\n-----END CERTIFICATE-----" } };

function jobStoreOf(
  store: EtcdBackupStore,
  env: Record<string, string>,
  permissions: PermissionOptions = {},
) {
  const options = { reader: readerOf({ secrets }), permissions: permissionsOf(permissions, "operator"), env };
  return jobStore(store, { ...options, signal });
}

/** The arguments and the environment of the first container of a member's Job, as Kubernetes would pass them. */
async function fetchContainer(store: EtcdBackupStore, env: Record<string, string>) {
  const blueprint = { restore: restoreOf(), source: restoredSource, token: "t", operatorImage: "op" };
  const job = memberJob({ ...blueprint, store: await jobStoreOf(store, env) }, 0, 1);
  const { spec } = job.spec["template"] as { spec: { initContainers: [Container] } };
  const [{ args, env: variables }] = spec.initContainers;
  const plain = variables.flatMap(({ name, value }) =>
    value === undefined ? [] : [[name, value.replaceAll("$$", "$")]],
  );
  return { args, env: Object.fromEntries(plain) as Record<string, string> };
}
interface Container {
  args: string[];
  env: { name: string; value?: string }[];
}

describe("the Jobs of a restore", () => {
  it("reach a store that the operator reaches by its environment alone: endpoint, region, CA and proxy", async () => {
    const authority = await createAuthority("store authority");
    const issued = await authority.issue({ commonName: "s3.invalid", hosts: ["s3.invalid"] });
    const asked: string[] = [];
    const server = createServer({ cert: issued.certPem, key: issued.keyPem }, (request, response) => {
      asked.push(`${request.url} ${/Credential=[^,]+/.exec(request.headers.authorization ?? "")?.[0]}`);
      response
        .writeHead(404, { "content-type": "application/xml" })
        .end("<Error><Code>NoSuchKey</Code></Error>");
    });
    const port = await listen(server);
    await using _ = {
      async [Symbol.asyncDispose]() {
        server.closeAllConnections();
        server.close();
      },
    };
    await using proxy = await startForwardProxy(port);
    await using directory = await tempDir("job");
    const bundle = join(directory.path, "ca.pem");
    await writeFile(bundle, [...rootCertificates, authority.caPem].join("\n"));
    const store = storeOf({ bucket: "bbb", credentialsSecretRef: { name: "keys" } }, "operator");
    const { args, env } = await fetchContainer(store, {
      AWS_ENDPOINT_URL: "https://s3.invalid",
      AWS_REGION: "eu-central-1",
      AWS_CA_BUNDLE: bundle,
      HTTPS_PROXY: proxy.url,
    });
    const dataDir = join(directory.path, "data");
    const local = args.map((word) => (word === "/var/lib/etcd/data" ? dataDir : word));
    const sink = { write() {} };
    const context = { stdout: sink, stderr: sink, env: { ...keys, ...env }, now: () => new Date(0), signal };
    await assert.rejects(build(context).parseAsync(local, { from: "user" }), { code: "NotFound" });
    assert.match(asked[0] ?? "", /^\/bbb.*Credential=KEY\/\d+\/eu-central-1\/s3/);
    assert.match(proxy.seen[0] ?? "", /^CONNECT s3\.invalid:443$/);
  });
});

describe("the Jobs' access to a store", () => {
  const own = { credentialsSecretRef: { name: "keys" } };

  it("prefers what the resource gives, and mounts its CA", async () => {
    const given = { endpoint: "https://minio:9000", region: "r-1", caBundleSecretRef: { name: "ca" } };
    const env = { AWS_REGION: "other", AWS_ENDPOINT_URL: "https://other", AWS_CA_BUNDLE: "" };
    const store = storeOf({ ...own, ...given, prefix: "deep" }, "operator");
    const path = "/etc/etcd-backup/store-ca";
    const { secretVariables, ...access } = await jobStoreOf(store, env);
    assert.deepEqual(access, {
      flags: [
        ...["--store", `${bucket}/deep?endpoint=https%3A%2F%2Fminio%3A9000&region=r-1&pathStyle=true`],
        ...["--store-ca", `${path}/ca.crt`],
      ],
      variables: {},
      mounts: [{ name: "store-ca", path, volume: { secret: { secretName: "ca" } } }],
    });
    assert.deepEqual(secretVariables, [
      { name: "AWS_ACCESS_KEY_ID", secret: "keys", optional: false },
      { name: "AWS_SECRET_ACCESS_KEY", secret: "keys", optional: false },
      { name: "AWS_SESSION_TOKEN", secret: "keys", optional: true },
    ]);
  });

  it("has the checksum of the spec, which older S3-compatible stores need", async () => {
    const { flags } = await jobStoreOf(storeOf({ ...own, checksum: "MD5", forcePathStyle: false }), {});
    assert.deepEqual(flags, ["--store", `${bucket}?checksum=MD5`]);
  });

  it("holds neither credentials nor a proxy's password", async () => {
    const env = { ...keys, HTTPS_PROXY: "http://user:hunter2@proxy:3128", NO_PROXY: ".svc" };
    assert.deepEqual(await jobStoreOf(storeOf({ region: "r-1" }, "operator"), env), {
      flags: ["--store", `${bucket}?region=r-1&pathStyle=true`],
      variables: { HTTPS_PROXY: "http://proxy:3128/", NO_PROXY: ".svc" },
      secretVariables: [],
      mounts: [],
    });
  });

  it("takes neither endpoint nor region of the environment without the permission", async () => {
    const env = { AWS_REGION: "eu-1", AWS_ENDPOINT_URL: "https://other", HTTP_PROXY: "http://p:1" };
    const { flags, variables } = await jobStoreOf(storeOf(own), env);
    assert.deepEqual(flags, ["--store", `${bucket}?pathStyle=true`]);
    assert.deepEqual(variables, { HTTP_PROXY: "http://p:1/" });
  });

  it("is refused for a directory of the operator, which the Jobs cannot read", async () => {
    const { spec, ...rest } = storeOf({}, "operator");
    const { s3: _, ...common } = spec;
    const inDirectory = { ...rest, spec: { ...common, file: { path: "/backups" } } };
    const refusal = { code: "InvalidConfiguration", message: /cannot read a directory of the operator/ };
    await assert.rejects(jobStoreOf(inDirectory, {}), refusal);
    assert.match(factsOf(inDirectory).jobRefusal?.message ?? "", refusal.message);
    assert.equal(factsOf(storeOf({})).jobRefusal, undefined);
  });

  it("refuses a bundle that does not fit into an environment variable", async () => {
    await using directory = await tempDir("bundle");
    const path = join(directory.path, "ca.pem");
    const certificate = (index: number) =>
      `-----BEGIN CERTIFICATE-----\n${String(index).padEnd(2000, "A")}\n-----END CERTIFICATE-----`;
    await writeFile(path, Array.from({ length: 60 }, (_, index) => certificate(index)).join("\n"));
    await assert.rejects(jobStoreOf(storeOf(own), { AWS_CA_BUNDLE: path }), {
      code: "InvalidConfiguration",
      hint: /caBundleSecretRef/,
    });
  });
});
