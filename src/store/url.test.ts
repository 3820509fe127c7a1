import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { storeKindNames } from "../api/v1alpha1/etcd-backup-store-location.ts";
import { OperatorError } from "../core/errors.ts";
import type { StoreConfig } from "./kinds.ts";
import { formatStoreUrl, parseStoreUrl } from "./url.ts";

const readings: [string, StoreConfig][] = [
  ["s3://backups", { kind: "s3", bucket: "backups", prefix: "" }],
  ["s3://backups/", { kind: "s3", bucket: "backups", prefix: "" }],
  ["s3://my.backups/etcd/prod/", { kind: "s3", bucket: "my.backups", prefix: "etcd/prod" }],
  [
    "s3://b-1/p?endpoint=https://minio.example.com:9000/&region=eu-central-1&pathStyle=true",
    {
      kind: "s3",
      bucket: "b-1",
      prefix: "p",
      endpoint: "https://minio.example.com:9000",
      region: "eu-central-1",
      forcePathStyle: true,
    },
  ],
  [
    "s3://bucket?sse=AES256",
    { kind: "s3", bucket: "bucket", prefix: "", serverSideEncryption: { mode: "AES256" } },
  ],
  [
    "s3://bucket?sse=aws:kms&kmsKeyID=arn:aws:kms:eu:1:key/x&storageClass=STANDARD_IA",
    {
      kind: "s3",
      bucket: "bucket",
      prefix: "",
      serverSideEncryption: { mode: "KMS", kmsKeyID: "arn:aws:kms:eu:1:key/x" },
      storageClass: "STANDARD_IA",
    },
  ],
  [
    "s3://bucket?checksum=MD5&versions=Remove",
    { kind: "s3", bucket: "bucket", prefix: "", checksum: "MD5", versions: "Remove" },
  ],
  ["file:///backups", { kind: "file", path: "/backups" }],
  ["file:///backups/etcd/", { kind: "file", path: "/backups/etcd" }],
  ["file:////", { kind: "file", path: "/" }],
  ["file:///my%20backups", { kind: "file", path: "/my backups" }],
];

const refusals: [string, RegExp][] = [
  ["backups", /not a store URL/],
  ["", /not a store URL/],
  ["https://example.com/bucket", /not a store URL/],
  ["s3:///prefix", /names no bucket/],
  ["s3://bucket:9000/x", /names no bucket/],
  ["s3://b/x", /cannot be a bucket's name/],
  ["s3://bucket/a b", /cannot be a prefix/],
  ["s3://bucket/a//b", /cannot be a prefix/],
  ["s3://bucket?endpiont=http://x", /unknown parameter "endpiont"/],
  ["s3://bucket?region=a&region=b", /region twice/],
  ["s3://bucket?region=", /region is empty/],
  ["s3://bucket?endpoint=minio:9000", /endpoint "minio:9000" is not an http/],
  ["s3://bucket?pathStyle=yes", /pathStyle is "yes"/],
  ["s3://bucket?sse=none", /sse is "none"/],
  ["s3://bucket?kmsKeyID=x", /kmsKeyID needs sse=aws:kms/],
  ["s3://bucket?checksum=md5", /checksum is "md5"/],
  ["s3://bucket?versions=Delete", /versions is "Delete"/],
  ["s3://bucket#x", /holds a #/],
  ["file://backups", /names the host backups/],
  ["file:///backups?x=1", /has parameters/],
  ["file:///%00", /not a directory's URL/],
  ["file:///%E0%A4%A", /not a directory's URL/],
];

describe("a store URL", () => {
  for (const [url, config] of readings) {
    it(`${url} is parsed, and formatted to a URL of the same meaning`, () => {
      assert.deepEqual(parseStoreUrl(url), config);
      assert.deepEqual(parseStoreUrl(formatStoreUrl(config)), config);
    });
  }

  it("is parsed and formatted for every kind of store", () => {
    const parsed = readings.map(([, { kind }]) => kind);
    assert.deepEqual([...new Set(parsed)].toSorted(), storeKindNames.toSorted());
  });

  for (const [url, message] of refusals) {
    it(`${url || "that is empty"} is refused`, () => {
      assert.throws(() => parseStoreUrl(url), { code: "Usage", message });
    });
  }

  it("is parsed or refused as Usage, whatever the text is", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.webUrl({ withQueryParameters: true }),
      fc.string().map((s) => `s3://bucket/${s}`),
      fc.string().map((s) => `s3://bucket?endpoint=${s}`),
      fc.string().map((s) => `file:///${s}`),
    );
    fc.assert(
      fc.property(text, (url) => {
        try {
          const config = parseStoreUrl(url);
          assert.deepEqual(parseStoreUrl(formatStoreUrl(config)), config);
        } catch (error) {
          assert.ok(error instanceof OperatorError, String(error));
          assert.equal(error.code, "Usage");
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("credentials in a store URL", () => {
  it("are refused, and not repeated in the error", () => {
    const urls = [
      "s3://AKIAKEY:very-secret@bucket/x",
      "s3://AKIAKEY@bucket",
      "file://user:very-secret@host/x",
      "s3://bucket?endpoint=https://AKIAKEY:very-secret@minio:9000",
      "s3://bucket?endpoint=https%3A%2F%2FAKIAKEY%3Avery-secret%40minio",
      "weird://AKIAKEY:very-secret@bucket",
    ];
    for (const url of urls) {
      assert.throws(
        () => parseStoreUrl(url),
        (error) => {
          assert.ok(error instanceof OperatorError && error.code === "Usage", String(error));
          assert.doesNotMatch(`${error.message} ${error.hint}`, /very-secret|AKIAKEY/);
          return true;
        },
        url,
      );
    }
  });

  it("and the CA bundle are left out when a configuration is written as a URL", () => {
    const credentials = { accessKeyId: "AKIAKEY", secretAccessKey: "very-secret" };
    const url = formatStoreUrl({
      kind: "s3",
      bucket: "bucket",
      prefix: "p",
      credentials,
      caBundlePem: "PEM",
    });
    assert.equal(url, "s3://bucket/p");
  });
});
