import assert from "node:assert/strict";
import { OperatorError } from "../../src/core/errors.ts";
import type { StoreConfig } from "../../src/store/kinds.ts";
import { formatStoreUrl, parseStoreUrl } from "../../src/store/url.ts";
import { mutateText } from "./json-mutations.ts";
import type { Target } from "./target.ts";

const secret = "hunter2";
const samples = [
  "s3://bucket",
  "s3://bucket/a/prefix",
  "s3://bucket/a?endpoint=https://minio.example.com:9000&region=eu-west-1&pathStyle=true",
  "s3://bucket?checksum=None&versions=Remove",
  "s3://bucket?sse=aws:kms&kmsKeyID=alias/key&storageClass=STANDARD_IA",
  "s3://bucket?endpoint=http%3A%2F%2F127.0.0.1%3A9000%2Fbase%2F",
  "file:///backups",
  "file:///a%20b/c",
  "file:///a%2Fb/%2e%2e/c//",
  "file:///a%3Fb%23c%25d%252e",
  `s3://user:${secret}@bucket/prefix`,
  `s3://bucket?endpoint=https://user:${secret}@minio:9000`,
  `s3://bucket?endpoint=https%3A%2F%2Fuser%3A${secret}%40minio%3A9000`,
  `https://user:${secret}@bucket.example.com/x`,
] as const;

/** A URL is refused with Usage and a message without its password, or formats to a URL with the same configuration. */
export const storeUrl: Target = {
  name: "store-url",
  testInputs: 20_000,
  isText: true,
  generate(random) {
    let text: string = random.pick(samples);
    for (let left = random.below(5); left > 0; left--) text = mutateText(text, random);
    if (random.oneIn(2000)) text = `file:///${"/".repeat(100_000)}x`;
    return Buffer.from(text);
  },
  check(input) {
    const text = Buffer.from(input).toString();
    let config: StoreConfig;
    const began = performance.now();
    try {
      config = parseStoreUrl(text);
    } catch (error) {
      assert.ok(error instanceof OperatorError && error.code === "Usage", String(error));
      assert.ok(error.message.length < 2000, `a message of ${error.message.length} characters`);
      const isPassword = /:hunter2(@|%40)/.test(text);
      assert.ok(
        !isPassword || !error.message.includes(secret),
        `the message has the password: ${error.message}`,
      );
      return;
    } finally {
      assert.ok(performance.now() - began < 2000, `parsing ${text.length} characters took too long`);
    }
    const written = formatStoreUrl(config);
    assert.deepEqual(parseStoreUrl(written), config, written);
  },
};
