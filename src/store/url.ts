import { OperatorError } from "../core/errors.ts";
import { isObjectName } from "./object-name.ts";
import type { S3Options } from "./s3/client.ts";
import { s3Checksums, s3Versions } from "./s3/settings.ts";

/** Where a store is and how to reach it, from a URL or an EtcdBackupStore. */
export type StoreConfig =
  | ({ kind: "s3" } & Omit<S3Options, "partSize" | "concurrency" | "pageSize" | "attempts" | "timeouts">)
  | { kind: "file"; path: string };

const forms = "s3://bucket/prefix?endpoint=…&region=…&pathStyle=true, or file:///directory";
/** Characters of a DNS name. */
const longestHost = 253;
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

/** Parses a store URL. Throws Usage; the message quotes nothing of a URL that holds a user or password. */
export function parseStoreUrl(text: string): StoreConfig {
  if (/^[^/?#]*\/\/[^/?#]*@/.test(text)) {
    throw usage(
      "the store URL holds a user or password",
      "give credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or by a profile",
    );
  }
  const url = URL.parse(text);
  switch (url?.protocol) {
    case "s3:":
      return s3Config(url, text);
    case "file:":
      return fileConfig(url, text);
    default:
      throw usage(`${quoted(text)} is not a store URL`, `write it as ${forms}`);
  }
}

function s3Config(url: URL, text: string): StoreConfig {
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

function fileConfig(url: URL, text: string): StoreConfig {
  if (url.hostname !== "")
    throw usage(
      `${quoted(text)} names the host ${url.hostname.slice(0, longestHost)}`,
      "write a directory with three slashes: file:///backups",
    );
  if (url.search !== "" || url.hash !== "")
    throw usage(`${quoted(text)} has parameters`, "remove them: file:///directory takes none");
  const path = decoded(url.pathname);
  if (path === undefined || path.includes("\0")) throw usage(`${quoted(text)} is not a directory's URL`);
  if (path.split("/").some((segment) => segment === "." || segment === ".."))
    throw usage(`${quoted(text)} holds . or .. behind a %2F`);
  return { kind: "file", path: withoutEndSlashes(path) };
}

/** Without slashes at the end, except for the first character. A regular expression would take quadratic time. */
function withoutEndSlashes(text: string): string {
  let end = text.length;
  while (end > 1 && text[end - 1] === "/") end--;
  return text.slice(0, end);
}

function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}

/** `file:///dir` of an absolute path. */
export function fileUrl(path: string): string {
  return `file://${path.split("/").map(encodeURIComponent).join("/")}`;
}

/** The user's input as a message may quote it: not at all when it may hold a user or password, even by mistake. */
function quoted(text: string): string {
  if (/@|%40/.test(text)) return "(not shown, since it holds an @)";
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}

function usage(message: string, hint?: string): OperatorError {
  return new OperatorError("Usage", message, hint === undefined ? {} : { hint });
}
