import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import { OperatorError } from "../core/errors.ts";
import type { StoreConfig } from "../store/url.ts";
import { secretText } from "./connection-reader.ts";
import type { ResolveOptions } from "./etcd-connection.ts";
import { checkHostPath } from "./host-paths.ts";

/** The store's settings with its credentials. Throws CredentialsNotFound that names the Secret and the key. */
export async function storeSettings(
  { metadata, spec }: EtcdBackupStore,
  { reader, hostPaths, signal }: ResolveOptions,
): Promise<StoreConfig> {
  const namespace = metadata.namespace ?? "default";
  if (spec.file !== undefined) {
    checkHostPath("spec.file", namespace, hostPaths);
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
  } = s3;
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

function s3Keys(secret: Record<string, Buffer>, name: string) {
  const sessionToken = secret["AWS_SESSION_TOKEN"]?.toString().replace(/\r?\n$/, "");
  return {
    accessKeyId: secretText(secret, "AWS_ACCESS_KEY_ID", name),
    secretAccessKey: secretText(secret, "AWS_SECRET_ACCESS_KEY", name),
    ...(sessionToken === undefined || sessionToken === "" ? {} : { sessionToken }),
  };
}
