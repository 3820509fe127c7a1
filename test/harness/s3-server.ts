import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { binary } from "./binaries.ts";
import type { Authority } from "./certificates.ts";
import { freePorts } from "./ports.ts";
import { type RunningProcess, startProcess } from "./process.ts";
import { probe, untilReady, withPortRetry } from "./ready.ts";
import { tempDir } from "./temp-dir.ts";

export type S3Kind = "versitygw" | "minio";

export interface S3Options {
  /** Serve https with a certificate of this authority. */
  tls?: Authority;
  /** Directory of the objects, such as one on a nearly full file system. Default: a temporary directory. */
  rootDir?: string;
  /** Address to listen on, also used in the endpoint. Default: 127.0.0.1. */
  host?: string;
}

export interface S3Server extends AsyncDisposable {
  readonly kind: S3Kind;
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
  /** versitygw: `<rootDir>/<bucket>/<key>` is the object as a plain file. MinIO: its own format. */
  readonly rootDir: string;
  /** The process of the latest start. */
  readonly process: RunningProcess;
  /** Creates a bucket. `objectLock` also turns versioning on, as S3 requires. */
  createBucket(name: string, options?: { objectLock?: boolean }): Promise<void>;
  /** SIGSTOP: connections stay open, and the server does not answer. */
  pause(): void;
  resume(): void;
  /** SIGKILL, and a new start on the same port and directory. */
  restart(): Promise<void>;
}

interface Launch {
  host: string;
  port: number;
  accessKeyId: string;
  secretAccessKey: string;
  directory: string;
  rootDir: string;
  tls: boolean;
}

const region = "us-east-1";

/** Starts an S3 server with new credentials, a free port and a temporary directory. versitygw uses fewer resources. */
export async function startS3(kind: S3Kind = "versitygw", options: S3Options = {}): Promise<S3Server> {
  return withPortRetry(() => startOnFreshPort(kind, options));
}

async function startOnFreshPort(kind: S3Kind, options: S3Options): Promise<S3Server> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await tempDir(kind)).path;
  const [port = 0] = await freePorts(1);
  const rootDir = options.rootDir ?? join(directory, "objects");
  const launch: Launch = {
    host: options.host ?? "127.0.0.1",
    port,
    accessKeyId: `test${randomBytes(8).toString("hex")}`,
    secretAccessKey: randomBytes(20).toString("hex"),
    directory,
    rootDir,
    tls: options.tls !== undefined,
  };
  for (const path of [rootDir, join(directory, "versions"), certificates(directory)]) {
    await mkdir(path, { recursive: true });
  }
  await writeCertificate(directory, options.tls);
  const path = await binary(kind);
  const endpoint = `${launch.tls ? "https" : "http"}://${launch.host}:${port}`;
  const health = { url: `${endpoint}${healthPath(kind)}`, ...caOf(options.tls) };

  let current: RunningProcess | undefined;
  const start = async (): Promise<RunningProcess> => {
    const { args, env } = commandLine(kind, launch);
    current = startProcess(path, args, { env, cwd: directory, name: kind });
    await untilReady(kind, current, async () => (await probe(health))?.status === 200);
    return current;
  };
  stack.defer(async () => current?.kill());
  let process = await start();
  const started = stack.move();
  return {
    kind,
    endpoint,
    accessKeyId: launch.accessKeyId,
    secretAccessKey: launch.secretAccessKey,
    region,
    rootDir,
    get process() {
      return process;
    },
    createBucket: (name, bucket = {}) => createBucket(endpoint, launch, options.tls, name, bucket.objectLock),
    pause: () => process.pause(),
    resume: () => process.resume(),
    async restart() {
      await process.kill();
      process = await start();
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

function healthPath(kind: S3Kind): string {
  return kind === "minio" ? "/minio/health/cluster" : "/health";
}

function commandLine(kind: S3Kind, launch: Launch): { args: string[]; env: NodeJS.ProcessEnv } {
  const address = `${launch.host}:${launch.port}`;
  const cert = join(certificates(launch.directory), "public.crt");
  const key = join(certificates(launch.directory), "private.key");
  switch (kind) {
    case "versitygw":
      return {
        args: [
          `--port=${address}`,
          `--region=${region}`,
          `--health=${healthPath(kind)}`,
          ...(launch.tls ? [`--cert=${cert}`, `--key=${key}`] : []),
          "posix",
          `--versioning-dir=${join(launch.directory, "versions")}`,
          launch.rootDir,
        ],
        env: { ROOT_ACCESS_KEY: launch.accessKeyId, ROOT_SECRET_KEY: launch.secretAccessKey },
      };
    case "minio":
      return {
        args: [
          "server",
          `--address=${address}`,
          `--certs-dir=${certificates(launch.directory)}`,
          launch.rootDir,
        ],
        env: {
          MINIO_ROOT_USER: launch.accessKeyId,
          MINIO_ROOT_PASSWORD: launch.secretAccessKey,
          MINIO_BROWSER: "off",
          MINIO_UPDATE: "off",
        },
      };
    default:
      return kind satisfies never;
  }
}

function certificates(directory: string): string {
  return join(directory, "certs");
}

async function writeCertificate(directory: string, authority: Authority | undefined): Promise<void> {
  if (authority === undefined) return;
  const { certPem, keyPem } = await authority.issue({ commonName: "s3", hosts: ["localhost", "127.0.0.1"] });
  await writeFile(join(certificates(directory), "public.crt"), certPem);
  await writeFile(join(certificates(directory), "private.key"), keyPem, { mode: 0o600 });
}

function caOf(authority: Authority | undefined): { caPem?: string } {
  return authority === undefined ? {} : { caPem: authority.caPem };
}

async function createBucket(
  endpoint: string,
  credentials: { accessKeyId: string; secretAccessKey: string },
  authority: Authority | undefined,
  name: string,
  objectLock = false,
): Promise<void> {
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials,
    ...(authority === undefined ? {} : { requestHandler: { httpsAgent: { ca: authority.caPem } } }),
  });
  try {
    await client.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: objectLock }));
  } finally {
    client.destroy();
  }
}
