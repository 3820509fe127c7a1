import { readFile } from "node:fs/promises";
import { OperatorError } from "../core/errors.ts";
import { createFileStore } from "./file/file-store.ts";
import type { S3Credentials } from "./s3/client.ts";
import { type WriteFence, fencedStore } from "./decorators/fenced.ts";
import type { StoreConfig } from "./url.ts";
import type { Store } from "./store.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** `fence`: the store is written only while it is open. */
export interface OpenOptions {
  env?: Environment;
  fence?: WriteFence;
}

/** Opens the store of a configuration with its decorators. Sends nothing yet. */
export async function openStore(config: StoreConfig, options: OpenOptions = {}): Promise<Store> {
  const store = await openBackend(config, options.env ?? process.env);
  return options.fence === undefined ? store : fencedStore(store, options.fence);
}

/**
 * What the configuration leaves open comes from the AWS variables of `env`, then from the SDK's default chain (shared
 * profiles, web identity, container and instance metadata). The SDK is loaded only for a store that needs it.
 */
async function openBackend(config: StoreConfig, env: Environment): Promise<Store> {
  switch (config.kind) {
    case "file":
      return createFileStore({ path: config.path });
    case "s3": {
      const { kind: _, ...given } = config;
      const region = given.region ?? env["AWS_REGION"] ?? env["AWS_DEFAULT_REGION"];
      const endpoint = given.endpoint ?? env["AWS_ENDPOINT_URL_S3"] ?? env["AWS_ENDPOINT_URL"];
      const credentials = given.credentials ?? credentialsOf(env);
      const caBundlePem = given.caBundlePem ?? (await bundleOf(env["AWS_CA_BUNDLE"]));
      const { createS3Store } = await import("./s3/s3-store.ts");
      return createS3Store({
        ...given,
        ...(isSet(region) ? { region } : {}),
        ...(isSet(endpoint) ? { endpoint } : {}),
        ...(credentials === undefined ? {} : { credentials }),
        ...(caBundlePem === undefined ? {} : { caBundlePem }),
      });
    }
    default:
      return config satisfies never;
  }
}

function isSet(text: string | undefined): text is string {
  return text !== undefined && text !== "";
}

function credentialsOf(env: Environment): S3Credentials | undefined {
  const accessKeyId = env["AWS_ACCESS_KEY_ID"];
  const secretAccessKey = env["AWS_SECRET_ACCESS_KEY"];
  const sessionToken = env["AWS_SESSION_TOKEN"];
  if (!isSet(accessKeyId) || !isSet(secretAccessKey)) return undefined;
  return { accessKeyId, secretAccessKey, ...(isSet(sessionToken) ? { sessionToken } : {}) };
}

async function bundleOf(path: string | undefined): Promise<string | undefined> {
  if (!isSet(path)) return undefined;
  return readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new OperatorError(
      "InvalidConfiguration",
      `AWS_CA_BUNDLE: ${path} cannot be read: ${error.code ?? error.message}`,
      {
        hint: "give a file of PEM certificates",
      },
    );
  });
}
