import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import { OperatorError } from "../../core/errors.ts";

/** Where the Secret with the store's CA bundle is mounted. */
export const storeCaPath = "/etc/etcd-backup/store-ca";

/** Name of that Secret, where the store has one. */
export function storeCaSecret({ spec }: EtcdBackupStore): string | undefined {
  return spec.s3?.caBundleSecretRef?.name;
}

/** The flags of the fetch step for the store. Its credentials come from the Secret, as environment variables. */
export function storeFlags({ spec }: EtcdBackupStore): string[] {
  const { s3 } = spec;
  if (s3 === undefined) throw fileStore();
  const settings = [
    ...(s3.endpoint === undefined ? [] : [`endpoint=${encodeURIComponent(s3.endpoint)}`]),
    ...(s3.region === undefined ? [] : [`region=${encodeURIComponent(s3.region)}`]),
    ...(s3.forcePathStyle ? ["pathStyle=true"] : []),
  ];
  const folder = s3.prefix === undefined ? s3.bucket : `${s3.bucket}/${s3.prefix}`;
  const query = settings.length === 0 ? "" : `?${settings.join("&")}`;
  const ca = s3.caBundleSecretRef === undefined ? [] : ["--store-ca", `${storeCaPath}/ca.crt`];
  return ["--store", `s3://${folder}${query}`, ...ca];
}

/** The error for a `file` store: the Jobs' Pods do not mount a directory of the operator's Pod. */
export function fileStore(): OperatorError {
  return new OperatorError(
    "InvalidConfiguration",
    "an EtcdRestore needs an s3 store: the members' Jobs cannot read a directory of the operator",
    {
      hint: "restore with `etcd-backup restore` where the directory is mounted, or copy the backup to a bucket",
    },
  );
}

/** The credentials of the fetch step, by reference to their Secret. */
export function storeEnv({ spec }: EtcdBackupStore): object[] {
  const name = spec.s3?.credentialsSecretRef?.name;
  if (name === undefined) return [];
  const fromSecret = (key: string, optional: boolean) => ({
    name: key,
    valueFrom: { secretKeyRef: { name, key, ...(optional ? { optional } : {}) } },
  });
  return [
    fromSecret("AWS_ACCESS_KEY_ID", false),
    fromSecret("AWS_SECRET_ACCESS_KEY", false),
    fromSecret("AWS_SESSION_TOKEN", true),
  ];
}
