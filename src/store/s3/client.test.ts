import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { HeadBucketCommand } from "@aws-sdk/client-s3";
import { type S3Options, connectS3 } from "./client.ts";

const given: S3Options = {
  bucket: "backups",
  prefix: "",
  credentials: { accessKeyId: "a", secretAccessKey: "b" },
};

/** The host that the client would send a request to. */
async function hostOf(options: S3Options): Promise<unknown> {
  await using access = connectS3(options);
  let host: unknown;
  access.client.middlewareStack.add(
    () => (args) => {
      host = (args.request as { hostname?: string }).hostname;
      throw new Error("not sent");
    },
    { step: "finalizeRequest", name: "capture", priority: "low" },
  );
  await assert.rejects(access.client.send(new HeadBucketCommand({ Bucket: options.bucket })), /not sent/);
  return host;
}

describe("an S3 client in a process whose environment names an endpoint and a region", () => {
  const set = { AWS_ENDPOINT_URL_S3: "http://10.0.0.1:9000", AWS_REGION: "eu-central-1" };
  const names = ["AWS_ENDPOINT_URL_S3", "AWS_REGION"] as const;
  const previous = names.map((name) => process.env[name]);
  before(() => void Object.assign(process.env, set));
  after(() => {
    for (const [index, name] of names.entries()) {
      const value = previous[index];
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });

  it("uses them", async () => {
    assert.match(String(await hostOf({ ...given, forcePathStyle: true })), /^10\.0\.0\.1$/);
  });

  it("ignores them without ambient settings", async () => {
    assert.equal(await hostOf({ ...given, ambient: false }), "backups.s3.us-east-1.amazonaws.com");
  });

  it("needs credentials of its own without ambient settings", () => {
    const { credentials: _, ...without } = given;
    assert.throws(() => connectS3({ ...without, ambient: false }), { code: "CredentialsNotFound" });
  });
});
