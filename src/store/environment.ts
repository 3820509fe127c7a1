import { readFile } from "node:fs/promises";
import { OperatorError } from "../core/errors.ts";
import { proxyOf } from "./proxy.ts";
import type { S3Credentials, S3Options } from "./s3/client.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The options with what they leave open, from the AWS variables of `env`. What is still open comes from the SDK's
 * default chain (shared profiles, web identity, container and instance metadata). With `ambient: false` only the CA
 * bundle and the proxies come from `env`.
 */
export async function withEnvironment<Options extends S3Options>(
  options: Options,
  env: Environment,
): Promise<Options> {
  const ambient = options.ambient !== false;
  const region = options.region ?? (ambient ? regionOf(env) : undefined);
  const endpoint = options.endpoint ?? (ambient ? endpointOf(env) : undefined);
  const credentials = options.credentials ?? (ambient ? credentialsOf(env) : undefined);
  const caBundlePem = options.caBundlePem ?? (await bundleOf(env["AWS_CA_BUNDLE"]));
  const proxy = options.proxy ?? proxyOf(env);
  return {
    ...options,
    ...(proxy === undefined ? {} : { proxy }),
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(caBundlePem === undefined ? {} : { caBundlePem }),
  };
}

/** The first variable that is set and not empty. */
function firstOf(env: Environment, ...names: readonly string[]): string | undefined {
  return names.map((name) => env[name]).find((text) => text !== undefined && text !== "");
}

function regionOf(env: Environment): string | undefined {
  return firstOf(env, "AWS_REGION", "AWS_DEFAULT_REGION");
}

/** The URL of the store that the environment names in place of Amazon S3. */
export function endpointOf(env: Environment): string | undefined {
  return firstOf(env, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
}

function credentialsOf(env: Environment): S3Credentials | undefined {
  const accessKeyId = firstOf(env, "AWS_ACCESS_KEY_ID");
  const secretAccessKey = firstOf(env, "AWS_SECRET_ACCESS_KEY");
  const sessionToken = firstOf(env, "AWS_SESSION_TOKEN");
  if (accessKeyId === undefined || secretAccessKey === undefined) return undefined;
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}

async function bundleOf(path: string | undefined): Promise<string | undefined> {
  if (path === undefined || path === "") return undefined;
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
