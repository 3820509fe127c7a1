import { isObjectName } from "../object-name.ts";
import type { GivenUrl } from "../kind.ts";
import { quoted, usage, withoutEndSlashes } from "../url-text.ts";
import type { S3Options } from "./client.ts";
import { s3Checksums, s3Versions } from "./settings.ts";

/** A bucket and how to reach it. */
export type S3Config = { kind: "s3" } & Omit<
  S3Options,
  "partSize" | "concurrency" | "pageSize" | "attempts" | "timeouts"
>;

const parameters = [
  "endpoint",
  "region",
  "pathStyle",
  "sse",
  "kmsKeyID",
  "storageClass",
  "checksum",
  "versions",
];

/** As `parseUrl` of a StoreKind. */
export function parseS3Url(url: URL, { text, forms }: GivenUrl): S3Config {
  const bucket = url.hostname;
  if (bucket === "" || url.port !== "")
    throw usage(`${quoted(text)} names no bucket`, `write it as ${forms}; a port belongs in endpoint`);
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/.test(bucket))
    throw usage(`${quoted(bucket)} cannot be a bucket's name`);
  if (url.hash !== "") throw usage(`${quoted(text)} holds a #`);
  const prefix = url.pathname.replace(/^\/|\/$/g, "");
  if (prefix !== "" && !isObjectName(prefix)) {
    throw usage(
      `${quoted(prefix)} cannot be a prefix in the bucket`,
      "use letters, digits and . _ = - between single /",
    );
  }
  const query = url.searchParams;
  for (const name of query.keys()) {
    if (!parameters.includes(name))
      throw usage(`the store URL has an unknown parameter ${quoted(name)}`, `use ${parameters.join(", ")}`);
    if (query.getAll(name).length > 1) throw usage(`the store URL gives ${name} twice`);
  }
  const region = value(query, "region");
  const storageClass = value(query, "storageClass");
  const endpoint = endpointOf(value(query, "endpoint"));
  const forcePathStyle = booleanOf(value(query, "pathStyle"));
  const serverSideEncryption = encryptionOf(value(query, "sse"), value(query, "kmsKeyID"));
  const checksum = choiceOf(query, "checksum", s3Checksums);
  const versions = choiceOf(query, "versions", s3Versions);
  return {
    kind: "s3",
    bucket,
    prefix,
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
    ...(serverSideEncryption === undefined ? {} : { serverSideEncryption }),
    ...(storageClass === undefined ? {} : { storageClass }),
    ...(checksum === undefined ? {} : { checksum }),
    ...(versions === undefined ? {} : { versions }),
  };
}

function value(query: URLSearchParams, name: string): string | undefined {
  const text = query.get(name);
  if (text === "") throw usage(`the store URL's parameter ${name} is empty`);
  return text ?? undefined;
}

function choiceOf<T extends string>(
  query: URLSearchParams,
  name: string,
  choices: readonly T[],
): T | undefined {
  const text = value(query, name);
  const chosen = choices.find((choice) => choice === text);
  if (text !== undefined && chosen === undefined)
    throw usage(`${name} is ${quoted(text)}`, `use ${choices.join(", ")}`);
  return chosen;
}

/** The URL of an endpoint. Throws Usage; a user or password in it is refused and not quoted. */
function endpointOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const url = URL.parse(text);
  const hint = "write it such as https://minio.example.com:9000";
  if (/@/.test(text)) throw usage("the store's endpoint holds a user or password", hint);
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    url.hostname === "" ||
    url.search !== "" ||
    url.hash !== ""
  ) {
    throw usage(`endpoint ${quoted(text)} is not an http or https URL`, hint);
  }
  return withoutEndSlashes(url.href);
}

function booleanOf(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (text !== "true" && text !== "false") throw usage(`pathStyle is ${quoted(text)}`, "use true or false");
  return text === "true";
}

function encryptionOf(
  sse: string | undefined,
  kmsKeyID: string | undefined,
): S3Options["serverSideEncryption"] {
  if (sse !== "aws:kms" && kmsKeyID !== undefined) throw usage("kmsKeyID needs sse=aws:kms");
  switch (sse) {
    case undefined:
      return undefined;
    case "AES256":
      return { mode: "AES256" };
    case "aws:kms":
      return { mode: "KMS", ...(kmsKeyID === undefined ? {} : { kmsKeyID }) };
    default:
      throw usage(`sse is ${quoted(sse)}`, "use AES256 or aws:kms");
  }
}

/** The URL from which `parseS3Url` makes the same configuration, without credentials and CA bundle. */
export function formatS3Url(config: S3Config): string {
  const { bucket, prefix, forcePathStyle, serverSideEncryption: sse } = config;
  const query = Object.entries({
    endpoint: config.endpoint,
    region: config.region,
    pathStyle: forcePathStyle?.toString(),
    sse: sse?.mode === "KMS" ? "aws:kms" : sse?.mode,
    kmsKeyID: sse?.kmsKeyID,
    storageClass: config.storageClass,
    checksum: config.checksum,
    versions: config.versions,
  }).flatMap(([name, text]) => (text === undefined ? [] : `${name}=${encodeURIComponent(text)}`));
  const folder = prefix === "" ? bucket : `${bucket}/${prefix}`;
  return `s3://${folder}${query.length === 0 ? "" : `?${query.join("&")}`}`;
}
