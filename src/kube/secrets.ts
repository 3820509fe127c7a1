import { OperatorError } from "../core/errors.ts";
import type { RequestOptions } from "./request.ts";
import type { KubeClient } from "./client.ts";
import { secrets } from "./objects.ts";

/**
 * The decoded values of a Secret by key. Throws CredentialsNotFound when there is no such Secret. No message holds a
 * value.
 */
export async function readSecret(
  client: Pick<KubeClient, "get">,
  namespace: string,
  name: string,
  options: RequestOptions,
): Promise<Record<string, Buffer>> {
  const secret = await client.get(secrets, { namespace, name }, options);
  if (secret === undefined) {
    throw new OperatorError("CredentialsNotFound", `Secret ${namespace}/${name} does not exist`, {
      hint: `create the Secret ${name} in namespace ${namespace}`,
    });
  }
  const entries = Object.entries(secret.data ?? {});
  return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value, "base64")]));
}
