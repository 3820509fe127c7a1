import { Agent } from "node:https";
import { getCACertificates } from "node:tls";
import { S3Client } from "@aws-sdk/client-s3";
import { OperatorError } from "../../core/errors.ts";
import { checkObjectName } from "../object-name.ts";
import { retry } from "../retry.ts";
import { type S3Place, classifyS3, isTransient } from "./errors.ts";

export interface S3Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

export interface S3Options {
  bucket: string;
  /** Folder in the bucket; "" is its root. */
  prefix: string;
  /** Absent: what the environment or the shared configuration say, else us-east-1. */
  region?: string;
  /** URL of a store that is not AWS. */
  endpoint?: string;
  forcePathStyle?: boolean;
  /** Authorities to trust besides the default ones, PEM. */
  caBundlePem?: string;
  /** Absent: the SDK's default chain (environment, shared profiles, web identity, container and instance metadata). */
  credentials?: S3Credentials | (() => Promise<S3Credentials & { expiration?: Date }>);
  /** `kmsKeyID` only with KMS; absent: the account's default key. */
  serverSideEncryption?: { mode: "AES256" | "KMS"; kmsKeyID?: string };
  /** Of objects that are put with `storageClass: "Configured"`. */
  storageClass?: string;
  /** Bytes; at least 5 MiB. */
  partSize?: number;
  /** Parts on their way at the same time, per put. */
  concurrency?: number;
  /** Names in one page of a listing; absent: as many as the store gives. */
  pageSize?: number;
  /** Of one request; see retrying.ts. */
  attempts?: number;
  timeouts?: { connectMs?: number; stallMs?: number };
}

/** Until a connection stands. */
const connectMs = 10_000;
/** Without a byte in either direction while a request is under way. */
const stallMs = 60_000;
export const defaultAttempts = 6;

/** One request to the store, with the signal that it has to take. */
export type Request<T> = (options: { abortSignal: AbortSignal }) => Promise<T>;

/** The bucket and how to talk to it: what every part of the S3 store shares. */
export interface S3Access {
  readonly client: S3Client;
  readonly options: S3Options;
  key(name: string): string;
  /** Runs a request, again when that may help; throws OperatorErrors only. `doing` begins their messages. */
  call<T>(doing: string, request: Request<T>, options: CallControl): Promise<T>;
  classify(thrown: unknown, doing: string, signal: AbortSignal): OperatorError;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface CallControl {
  signal: AbortSignal;
  /** Given to the request in place of `signal`, when it has to outlive it a little. */
  requestSignal?: AbortSignal;
  attempts?: number;
}

export function connectS3(options: S3Options): S3Access {
  const client = createClient(options);
  const endpoint = options.endpoint === undefined ? undefined : withoutUser(options.endpoint);
  let region = options.region ?? "us-east-1";
  const place = (): S3Place => ({
    bucket: options.bucket,
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
  });
  const classify: S3Access["classify"] = (thrown, doing, signal) =>
    classifyS3(thrown, doing, place(), signal);
  return {
    client,
    options,
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
  const { endpoint, forcePathStyle, caBundlePem, credentials, timeouts } = options;
  const client = new S3Client({
    region: options.region ?? once(ambientRegion),
    ...(endpoint === undefined ? {} : { endpoint: withoutUser(endpoint) }),
    ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
    ...(credentials === undefined ? {} : { credentials }),
    // Retrying is done in one place, by `call`.
    maxAttempts: 1,
    // Checksums are computed by us, in hardware; the SDK's own are JavaScript.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // It would cost a connection for each part.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: timeouts?.connectMs ?? connectMs,
      socketTimeout: timeouts?.stallMs ?? stallMs,
      httpsAgent: new Agent({ keepAlive: true, maxSockets: 50, ...authorities(caBundlePem) }),
    },
  });
  addPayloadRules(client);
  return client;
}

/**
 * Parts travel as UNSIGNED-PAYLOAD: their CRC-32C is in a signed header, and hashing them once more with SHA-256 would
 * cost more than everything else that is done to them. Small objects, manifests above all, are signed as a whole, so
 * that over plain http the digests in a manifest vouch for the data object. GetObject asks for the stored checksum
 * in a way that does not start the SDK's own, slow check.
 */
function addPayloadRules(client: S3Client): void {
  client.middlewareStack.add(
    (next, context) => (args) => {
      const { request } = args as { request?: { headers?: Record<string, string> } };
      if (request?.headers !== undefined) {
        if (context.commandName === "UploadPartCommand")
          request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD";
        if (context.commandName === "GetObjectCommand") request.headers["x-amz-checksum-mode"] = "ENABLED";
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

async function ambientRegion(): Promise<string> {
  const probe = new S3Client({});
  try {
    return await probe.config.region();
  } catch {
    return "us-east-1";
  } finally {
    probe.destroy();
  }
}

function authorities(caBundlePem: string | undefined): { ca?: string[] } {
  if (caBundlePem === undefined) return {};
  if (!caBundlePem.includes("-----BEGIN CERTIFICATE-----")) {
    throw new OperatorError("InvalidConfiguration", "the store's CA bundle holds no PEM certificate", {
      hint: "it has to hold -----BEGIN CERTIFICATE----- blocks",
    });
  }
  return { ca: [...getCACertificates("default"), caBundlePem] };
}

function withoutUser(endpoint: string): string {
  const url = URL.parse(endpoint);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new OperatorError("InvalidConfiguration", "the store's endpoint is not an http or https URL", {
      hint: "it looks like https://minio.example.com:9000",
    });
  }
  url.username = "";
  url.password = "";
  return url.href.replace(/\/$/, "");
}
