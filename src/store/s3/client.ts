import { Agent as HttpAgent } from "node:http";
import { Agent } from "node:https";
import { getCACertificates } from "node:tls";
import { S3Client } from "@aws-sdk/client-s3";
import { OperatorError } from "../../core/errors.ts";
import type { ProxySettings } from "../proxy.ts";
import { checkObjectName } from "../object-name.ts";
import { retry } from "../retry.ts";
import { checkedLookup } from "./checked-lookup.ts";
import { type S3Place, classifyS3, isTransient } from "./errors.ts";
import { type S3Checksum, type S3Versions, reportsCrc } from "./settings.ts";

export interface S3Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

export interface S3Options {
  bucket: string;
  /** Folder in the bucket; "" is its root. */
  prefix: string;
  /** Absent: from the environment or the shared configuration, else us-east-1. */
  region?: string;
  /** URL of a store other than AWS. */
  endpoint?: string;
  forcePathStyle?: boolean;
  /** CAs to trust besides the default ones, PEM. */
  caBundlePem?: string;
  /** Absent: the SDK's default chain (environment, shared profiles, web identity, container and instance metadata). */
  credentials?: S3Credentials | (() => Promise<S3Credentials & { expiration?: Date }>);
  /**
   * False: no credentials, endpoint or region is taken from the environment, shared profiles, web identity, or container
   * and instance metadata. `credentials` are required then.
   */
  ambient?: boolean;
  /** Proxies between this process and the store. Absent: none. */
  proxy?: ProxySettings;
  /** Throws for an IP address that may not be connected to. `host` is the name that resolved to it. */
  checkAddress?: (ip: string, host: string) => void;
  /** `kmsKeyID` only with KMS; absent: the account's default key. */
  serverSideEncryption?: { mode: "AES256" | "KMS"; kmsKeyID?: string };
  /** Of objects that are put with `storageClass: "Configured"`. */
  storageClass?: string;
  /** Absent: Auto. */
  checksum?: S3Checksum;
  /** Absent: Keep. */
  versions?: S3Versions;
  /** Bytes; at least 5 MiB. */
  partSize?: number;
  /** Parts that are uploaded at the same time, per put. */
  concurrency?: number;
  /** Names in one page of a listing; absent: the store's default. */
  pageSize?: number;
  /** Of one request, the first included; see retry.ts. */
  attempts?: number;
  timeouts?: { connectMs?: number; stallMs?: number };
}

const defaultRegion = "us-east-1";
/** Milliseconds until a connection is established. */
const connectMs = 10_000;
/** Milliseconds without a byte in either direction during a request. */
const stallMs = 60_000;
export const defaultAttempts = 6;

/** Sends one request to the store with the given signal. */
export type S3Request<T> = (options: { abortSignal: AbortSignal }) => Promise<T>;

/** The bucket and the client: what all operations of the S3 store share. */
export interface S3Access {
  readonly client: S3Client;
  readonly options: S3Options;
  /** URL of a store other than AWS, without user and slash at the end. */
  readonly endpoint: string | undefined;
  /** The object's key in the bucket. Throws InvalidConfiguration for an invalid name. */
  key(name: string): string;
  /** Runs a request, and tries it again after transient errors. Throws OperatorError; `doing` begins its message. */
  call<T>(doing: string, request: S3Request<T>, options: CallControl): Promise<T>;
  classify(thrown: unknown, doing: string, signal: AbortSignal): OperatorError;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface CallControl {
  signal: AbortSignal;
  /** Passed to the request in place of `signal` when the request has to outlive that signal. */
  requestSignal?: AbortSignal;
  attempts?: number;
}

export function connectS3(options: S3Options): S3Access {
  const client = createClient(options);
  const endpoint = options.endpoint === undefined ? undefined : withoutUser(options.endpoint);
  let region = options.region ?? defaultRegion;
  const place = (): S3Place => ({
    bucket: options.bucket,
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(options.proxy === undefined ? {} : { proxied: true }),
  });
  const classify: S3Access["classify"] = (thrown, doing, signal) =>
    classifyS3(thrown, doing, place(), signal);
  return {
    client,
    options,
    endpoint,
    key(name) {
      checkObjectName(name);
      return options.prefix === "" ? name : `${options.prefix}/${name}`;
    },
    call: (doing, request, { signal, requestSignal = signal, attempts }) =>
      retry(
        async () => {
          try {
            return await request({ abortSignal: requestSignal });
          } catch (thrown) {
            region = await client.config.region().catch(() => region);
            throw classify(thrown, doing, requestSignal);
          }
        },
        { signal, isTransient, attempts: attempts ?? options.attempts ?? defaultAttempts },
      ),
    classify,
    async [Symbol.asyncDispose]() {
      client.destroy();
    },
  };
}

function createClient(options: S3Options): S3Client {
  const { endpoint, forcePathStyle, caBundlePem, credentials, timeouts, ambient = true } = options;
  if (!ambient && credentials === undefined)
    throw new OperatorError("CredentialsNotFound", "the store has no credentials of its own", {
      hint: "add credentialsSecretRef",
    });
  const { proxy, checkAddress } = options;
  const connections = {
    keepAlive: true,
    maxSockets: 50,
    ...(proxy === undefined ? {} : { proxyEnv: { ...proxy } }),
    ...(checkAddress === undefined ? {} : { lookup: checkedLookup(checkAddress) }),
  };
  const client = new S3Client({
    region: options.region ?? (ambient ? once(ambientRegion) : defaultRegion),
    ignoreConfiguredEndpointUrls: !ambient,
    ...(endpoint === undefined ? {} : { endpoint: withoutUser(endpoint) }),
    ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
    ...(credentials === undefined ? {} : { credentials }),
    // `call` retries.
    maxAttempts: 1,
    // This store computes CRC-32C in hardware; the SDK computes its checksums in JavaScript.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // Expect: 100-continue would cost a connection for each part.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: timeouts?.connectMs ?? connectMs,
      socketTimeout: timeouts?.stallMs ?? stallMs,
      httpAgent: new HttpAgent(connections),
      httpsAgent: new Agent({ ...connections, ...trustedAuthorities(caBundlePem) }),
    },
  });
  addPayloadRules(client, reportsCrc(options));
  return client;
}

/**
 * Parts are sent as UNSIGNED-PAYLOAD: their CRC-32C is in a signed header, and a SHA-256 of their bytes would cost more
 * than all other work on them. Small objects, among them manifests, are signed with their bytes: so over plain http the
 * signed digests in a manifest protect the data object. GetObject requests the stored checksum by a header, which does
 * not start the SDK's own slow check.
 */
function addPayloadRules(client: S3Client, withChecksum: boolean): void {
  client.middlewareStack.add(
    (next, context) => (args) => {
      const { request } = args as { request?: { headers?: Record<string, string> } };
      if (request?.headers !== undefined) {
        if (context.commandName === "UploadPartCommand")
          request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD";
        if (context.commandName === "GetObjectCommand" && withChecksum)
          request.headers["x-amz-checksum-mode"] = "ENABLED";
      }
      return next(args);
    },
    { step: "build", name: "payloadRules" },
  );
}

function once<T>(provide: () => Promise<T>): () => Promise<T> {
  let provided: Promise<T> | undefined;
  return () => (provided ??= provide());
}

/** The region of the environment or of the shared configuration, else us-east-1. */
export async function ambientRegion(): Promise<string> {
  const probe = new S3Client({});
  try {
    return await probe.config.region();
  } catch {
    return defaultRegion;
  } finally {
    probe.destroy();
  }
}

function trustedAuthorities(caBundlePem: string | undefined): { ca?: string[] } {
  if (caBundlePem === undefined) return {};
  if (!caBundlePem.includes("-----BEGIN CERTIFICATE-----")) {
    throw new OperatorError("InvalidConfiguration", "the store's CA bundle holds no PEM certificate", {
      hint: "give a file with -----BEGIN CERTIFICATE----- blocks",
    });
  }
  return { ca: [...getCACertificates("default"), caBundlePem] };
}

function withoutUser(endpoint: string): string {
  const url = URL.parse(endpoint);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new OperatorError("InvalidConfiguration", "the store's endpoint is not an http or https URL", {
      hint: "write it such as https://minio.example.com:9000",
    });
  }
  url.username = "";
  url.password = "";
  return url.href.replace(/\/$/, "");
}
