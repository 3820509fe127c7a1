import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import type { OperatorError } from "../core/errors.ts";
import { withEnvironment } from "../store/environment.ts";
import { openStore } from "../store/open.ts";
import { type PermissionOptions, permissionsOf } from "./permissions.ts";
import { readerOf, recordingEndpoint, storeOf } from "./store.fixture.ts";
import { storeSettings } from "./store-settings.ts";

const env = {
  AWS_ACCESS_KEY_ID: "OPERATORS-OWN-KEY",
  AWS_SECRET_ACCESS_KEY: "x",
  AWS_REGION: "eu-central-1",
  AWS_EC2_METADATA_DISABLED: "true",
};
const keys = { credentialsSecretRef: { name: "keys" } };
const secrets = { keys: { AWS_ACCESS_KEY_ID: "TENANTS-KEY", AWS_SECRET_ACCESS_KEY: "y" } };

function settingsOf(
  store: EtcdBackupStore,
  permissions: PermissionOptions = {},
  environment: Record<string, string> = env,
) {
  return storeSettings(store, {
    reader: readerOf({ secrets }),
    permissions: permissionsOf({ loopback: "all", ...permissions }, "operator"),
    env: environment,
    signal: AbortSignal.timeout(10_000),
  });
}

async function probe(...given: Parameters<typeof settingsOf>): Promise<void> {
  await using opened = await openStore(await settingsOf(...given), { env: given[2] ?? env });
  await opened.probe({ signal: AbortSignal.timeout(5_000), write: false });
}

describe("a store without credentials of its own", () => {
  it("does not send the operator's to an endpoint of a namespace without the permission", async () => {
    await using endpoint = await recordingEndpoint();
    await assert.rejects(probe(storeOf({ endpoint: endpoint.url })), (error: OperatorError) => {
      assert.equal(error.code, "CredentialsNotFound");
      assert.match(error.message, /namespace team-a may not use the operator's own credentials/);
      assert.match(error.hint ?? "", /--ambient-credentials-namespaces/);
      return true;
    });
    assert.deepEqual(endpoint.signers, []);
  });

  it("is refused without an endpoint as well", async () => {
    await assert.rejects(settingsOf(storeOf({})), { code: "CredentialsNotFound" });
  });

  it("does not send the operator's to an endpoint that the configuration does not name", async () => {
    await using endpoint = await recordingEndpoint();
    const permissions = { ambientEndpoints: ["https://minio.example.com"] };
    for (const allowed of [
      { ambientCredentials: "all" } as const,
      { ambientCredentials: new Set(["team-a"]) },
    ])
      await assert.rejects(
        probe(storeOf({ endpoint: endpoint.url }), { ...permissions, ...allowed }),
        (error: OperatorError) => {
          assert.equal(error.code, "InvalidConfiguration");
          assert.match(error.hint ?? "", /--ambient-credentials-endpoints/);
          return true;
        },
      );
    assert.deepEqual(endpoint.signers, []);
  });

  it("uses the operator's at an endpoint of the flag or of the operator's environment", async () => {
    await using endpoint = await recordingEndpoint();
    const store = storeOf({ endpoint: `${endpoint.url}/` }, "operator");
    await probe(store, { ambientEndpoints: [endpoint.url] });
    await probe(store, {}, { ...env, AWS_ENDPOINT_URL: endpoint.url });
    await probe(storeOf({}, "operator"), {}, { ...env, AWS_ENDPOINT_URL_S3: endpoint.url });
    assert.ok(endpoint.signers.length >= 3);
    assert.deepEqual([...new Set(endpoint.signers)], ["OPERATORS-OWN-KEY"]);
  });
});

describe("a store with credentials of its own", () => {
  it("is opened with the checksum and the versions of its spec", async () => {
    const settings = await settingsOf(storeOf({ ...keys, checksum: "MD5", versions: "Remove" }));
    assert.partialDeepStrictEqual(settings, { kind: "s3", checksum: "MD5", versions: "Remove" });
  });

  it("takes neither endpoint nor region of the operator's environment without the permission", async () => {
    await using operators = await recordingEndpoint();
    await using tenants = await recordingEndpoint();
    const environment = { ...env, AWS_ENDPOINT_URL: operators.url };
    await probe(storeOf({ ...keys, endpoint: tenants.url }), {}, environment);
    assert.deepEqual([...new Set(tenants.signers)], ["TENANTS-KEY"]);
    const settings = await settingsOf(storeOf(keys), {}, environment);
    assert.ok(settings.kind === "s3");
    const { region, endpoint, credentials } = await withEnvironment(settings, environment);
    assert.deepEqual([region, endpoint], [undefined, undefined]);
    assert.partialDeepStrictEqual(credentials, { accessKeyId: "TENANTS-KEY" });
    assert.deepEqual(operators.signers, []);
  });

  it("takes both with the permission", async () => {
    await using operators = await recordingEndpoint();
    await probe(storeOf(keys, "operator"), {}, { ...env, AWS_ENDPOINT_URL: operators.url });
    assert.deepEqual([...new Set(operators.signers)], ["TENANTS-KEY"]);
  });
});
