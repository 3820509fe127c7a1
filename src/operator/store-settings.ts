import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import { OperatorError } from "../core/errors.ts";
import type { StoreConfig } from "../store/kinds.ts";
import { secretText } from "./connection-reader.ts";
import { type Environment, endpointOf } from "../store/environment.ts";
import type { ResolveOptions } from "./etcd-connection.ts";
import { hostOf, refuseOwnAddress } from "./own-addresses.ts";
import {
  type Permissions,
  checkAmbientCredentials,
  checkHostPath,
  isPermitted,
  originOf,
} from "./permissions.ts";

export interface StoreSettingsOptions extends ResolveOptions {
  /** The operator's. */
  env: Environment;
}

/**
 * The store's settings with its credentials. Throws CredentialsNotFound that names the Secret and the key, or
 * InvalidConfiguration for what the store's namespace may not use of the operator.
 */
export async function storeSettings(
  { metadata, spec }: EtcdBackupStore,
  { reader, permissions, env, signal }: StoreSettingsOptions,
): Promise<StoreConfig> {
  const namespace = metadata.namespace ?? "default";
  if (spec.file !== undefined) {
    checkHostPath("spec.file", namespace, permissions.hostPaths);
    return { kind: "file", path: spec.file.path };
  }
  const { s3 } = spec;
  if (s3 === undefined)
    throw new OperatorError("InvalidConfiguration", "the EtcdBackupStore has neither s3 nor file");
  const {
    credentialsSecretRef,
    caBundleSecretRef,
    prefix,
    region,
    endpoint,
    forcePathStyle,
    serverSideEncryption,
    storageClass,
    checksum,
    versions,
  } = s3;
  if (credentialsSecretRef === undefined)
    checkAmbientCredentials(namespace, endpoint, withOwnEndpoint(permissions, env));
  const isChecked = endpoint !== undefined && !isPermitted(namespace, permissions.loopback);
  // A connection to an IP address resolves no name.
  if (isChecked) refuseOwnAddress(hostOf(endpoint), hostOf(endpoint));
  const keys =
    credentialsSecretRef === undefined
      ? undefined
      : await reader.secret(namespace, credentialsSecretRef.name, signal);
  const bundle =
    caBundleSecretRef === undefined
      ? undefined
      : await reader.secret(namespace, caBundleSecretRef.name, signal);
  return {
    kind: "s3",
    bucket: s3.bucket,
    prefix: prefix ?? "",
    forcePathStyle,
    checksum,
    versions,
    ...(isPermitted(namespace, permissions.ambientCredentials) ? {} : { ambient: false }),
    ...(isChecked ? { checkAddress: refuseOwnAddress } : {}),
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(serverSideEncryption === undefined ? {} : { serverSideEncryption }),
    ...(storageClass === undefined ? {} : { storageClass }),
    ...(keys === undefined || credentialsSecretRef === undefined
      ? {}
      : { credentials: s3Keys(keys, credentialsSecretRef.name) }),
    ...(bundle === undefined || caBundleSecretRef === undefined
      ? {}
      : { caBundlePem: secretText(bundle, "ca.crt", caBundleSecretRef.name) }),
  };
}

/** The endpoint of the operator's environment is part of its configuration. */
function withOwnEndpoint(permissions: Permissions, env: Environment): Permissions {
  const own = endpointOf(env);
  if (own === undefined) return permissions;
  return { ...permissions, ambientEndpoints: new Set([...permissions.ambientEndpoints, originOf(own)]) };
}

function s3Keys(secret: Record<string, Buffer>, name: string) {
  const sessionToken = secret["AWS_SESSION_TOKEN"]?.toString().replace(/\r?\n$/, "");
  return {
    accessKeyId: secretText(secret, "AWS_ACCESS_KEY_ID", name),
    secretAccessKey: secretText(secret, "AWS_SECRET_ACCESS_KEY", name),
    ...(sessionToken === undefined || sessionToken === "" ? {} : { sessionToken }),
  };
}
