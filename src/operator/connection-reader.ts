import { OperatorError } from "../core/errors.ts";
import { podIPs, serviceIPs } from "../kube/addresses.ts";
import type { KubeClient } from "../kube/client.ts";
import { readSecret } from "../kube/secrets.ts";

type Secret = Record<string, Buffer>;

/** Reads Secrets and addresses for connections. Every attempt reads them again, so a rotation needs no restart. */
export interface ConnectionReader {
  secret(namespace: string, name: string, signal: AbortSignal): Promise<Secret>;
  /** IPs of the running Pods with these labels. */
  podIPs(namespace: string, matchLabels: Record<string, string>, signal: AbortSignal): Promise<string[]>;
  /** IPs of the ready endpoints of a Service. */
  serviceIPs(namespace: string, name: string, signal: AbortSignal): Promise<string[]>;
}

export function connectionReader(client: KubeClient): ConnectionReader {
  return {
    secret: (namespace, name, signal) => readSecret(client, namespace, name, { signal }),
    podIPs: (namespace, labels, signal) => podIPs(client, namespace, labels, { signal }),
    serviceIPs: (namespace, name, signal) => serviceIPs(client, namespace, name, { signal }),
  };
}

/** The value of a key without its last newline. Throws CredentialsNotFound that names the Secret and the key. */
export function secretText(secret: Secret, key: string, name: string): string {
  const value = optionalText(secret, key);
  if (value === undefined) throw missingKey(name, key);
  return value;
}

/** The value of a key without its last newline; undefined when it is absent or empty. */
export function optionalText(secret: Secret, key: string): string | undefined {
  const value = secret[key]?.toString().replace(/\r?\n$/, "");
  return value === "" ? undefined : value;
}

export function missingKey(secret: string, key: string): OperatorError {
  return new OperatorError("CredentialsNotFound", `Secret ${secret} has no key ${key}`, {
    hint: "add the key; the next attempt reads it",
  });
}
