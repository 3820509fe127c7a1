import { OperatorError } from "../core/errors.ts";
import { isObjectName } from "./object-name.ts";
import type { S3Options } from "./s3/client.ts";

/** Where a store is and how to get there, as a URL or an EtcdBackupStore says it. */
export type StoreConfig =
  | ({ kind: "s3" } & Omit<S3Options, "partSize" | "concurrency" | "pageSize" | "attempts" | "timeouts">)
  | { kind: "file"; path: string };

const forms = "s3://bucket/prefix?endpoint=…&region=…&pathStyle=true, or file:///directory";
/** Characters, by DNS. */
const longestHost = 253;
const parameters = ["endpoint", "region", "pathStyle", "sse", "kmsKeyID", "storageClass"];

/** Reads a store URL. Throws Usage; the message repeats nothing of a URL that holds a user or password. */
export function parseStoreUrl(text: string): StoreConfig {
  if (/^[^/?#]*\/\/[^/?#]*@/.test(text)) {
    throw usage(
      "the store URL holds a user or password",
      "give credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile",
    );
  }
  const url = URL.parse(text);
  switch (url?.protocol) {
    case "s3:":
      return s3Config(url, text);
    case "file:":
      return fileConfig(url, text);
    default:
      throw usage(`${shown(text)} is not a store URL`, `it looks like ${forms}`);
  }
}

function s3Config(url: URL, text: string): StoreConfig {
  const bucket = url.hostname;
  if (bucket === "" || url.port !== "")
    throw usage(`${shown(text)} names no bucket`, `it looks like ${forms}; a port belongs into endpoint`);
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/.test(bucket))
    throw usage(`${shown(bucket)} cannot be a bucket's name`);
  if (url.hash !== "") throw usage(`${shown(text)} holds a #`);
  const prefix = url.pathname.replace(/^\/|\/$/g, "");
  if (prefix !== "" && !isObjectName(prefix)) {
    throw usage(
      `${shown(prefix)} cannot be a prefix in the bucket`,
      "use letters, digits and . _ = - between single /",
    );
  }
  const query = url.searchParams;
  for (const name of query.keys()) {
    if (!parameters.includes(name))
      throw usage(
        `the store URL has an unknown parameter ${shown(name)}`,
        `there are ${parameters.join(", ")}`,
      );
    if (query.getAll(name).length > 1) throw usage(`the store URL gives ${name} twice`);
  }
  const region = value(query, "region");
  const storageClass = value(query, "storageClass");
  const endpoint = endpointOf(value(query, "endpoint"));
  const forcePathStyle = booleanOf(value(query, "pathStyle"));
  const serverSideEncryption = encryptionOf(value(query, "sse"), value(query, "kmsKeyID"));
  return {
    kind: "s3",
    bucket,
    prefix,
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
    ...(serverSideEncryption === undefined ? {} : { serverSideEncryption }),
    ...(storageClass === undefined ? {} : { storageClass }),
  };
}

function value(query: URLSearchParams, name: string): string | undefined {
  const given = query.get(name);
  if (given === "") throw usage(`the store URL's parameter ${name} is empty`);
  return given ?? undefined;
}

/** An endpoint's URL, checked; a user or password in it is refused and not repeated. */
function endpointOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const url = URL.parse(text);
  const hint = "it looks like https://minio.example.com:9000";
  if (/@/.test(text)) throw usage("the store's endpoint holds a user or password", hint);
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    url.hostname === "" ||
    url.search !== "" ||
    url.hash !== ""
  ) {
    throw usage(`endpoint ${shown(text)} is not an http or https URL`, hint);
  }
  return withoutEndSlashes(url.href);
}

function booleanOf(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (text !== "true" && text !== "false") throw usage(`pathStyle is ${shown(text)}`, "use true or false");
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
      throw usage(`sse is ${shown(sse)}`, "use AES256 or aws:kms");
  }
}

function fileConfig(url: URL, text: string): StoreConfig {
  if (url.hostname !== "")
    throw usage(
      `${shown(text)} names the host ${url.hostname.slice(0, longestHost)}`,
      "a directory has three slashes: file:///backups",
    );
  if (url.search !== "" || url.hash !== "")
    throw usage(`${shown(text)} has parameters`, "file:///directory takes none");
  const path = decoded(url.pathname);
  if (path === undefined || path.includes("\0")) throw usage(`${shown(text)} is not a directory's URL`);
  if (path.split("/").some((segment) => segment === "." || segment === ".."))
    throw usage(`${shown(text)} holds . or .. behind a %2F`);
  return { kind: "file", path: withoutEndSlashes(path) };
}

/** All slashes at the end, but for the first character. By hand, since a pattern would try every run of slashes. */
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

/** The URL that `parseStoreUrl` reads back; without credentials and CA bundle. */
export function formatStoreUrl(config: StoreConfig): string {
  switch (config.kind) {
    case "file":
      return fileUrl(config.path);
    case "s3": {
      const {
        bucket,
        prefix,
        region,
        endpoint,
        forcePathStyle,
        serverSideEncryption: sse,
        storageClass,
      } = config;
      const query = new URLSearchParams({
        ...(endpoint === undefined ? {} : { endpoint }),
        ...(region === undefined ? {} : { region }),
        ...(forcePathStyle === undefined ? {} : { pathStyle: String(forcePathStyle) }),
        ...(sse === undefined ? {} : { sse: sse.mode === "KMS" ? "aws:kms" : sse.mode }),
        ...(sse?.kmsKeyID === undefined ? {} : { kmsKeyID: sse.kmsKeyID }),
        ...(storageClass === undefined ? {} : { storageClass }),
      });
      return `s3://${bucket}${prefix === "" ? "" : `/${prefix}`}${query.size === 0 ? "" : `?${query.toString()}`}`;
    }
    default:
      return config satisfies never;
  }
}

/** `file:///dir` of an absolute path. */
export function fileUrl(path: string): string {
  return `file://${path.split("/").map(encodeURIComponent).join("/")}`;
}

/** Of a person's input, what a message may repeat: nothing that may hold a user or password, even by a slip of the pen. */
function shown(text: string): string {
  if (/@|%40/.test(text)) return "(not shown, since it holds an @)";
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}

function usage(message: string, hint?: string): OperatorError {
  return new OperatorError("Usage", message, hint === undefined ? {} : { hint });
}
