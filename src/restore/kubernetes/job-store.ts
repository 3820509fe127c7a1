import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import { OperatorError } from "../../core/errors.ts";

/**
 * What the operator's environment adds to the settings of a store. Whoever may read the Job sees it, so it holds no
 * secret: a proxy's URL has neither user nor password.
 */
export interface JobStoreSettings {
  region?: string;
  endpoint?: string;
  /** CAs to trust besides those of the program and of caBundleSecretRef, PEM. */
  caBundlePem?: string;
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY. */
  proxy?: Readonly<Record<string, string>>;
}

/** Where the Secret with the store's CA bundle is mounted. */
export const storeCaPath = "/etc/etcd-backup/store-ca";

/** Environment variable of the fetch step: CAs to trust for the store's endpoint besides the others, PEM. */
export const storeCaVariable = "ETCD_BACKUP_STORE_CA";

/** Name of that Secret, where the store has one. */
export function storeCaSecret({ spec }: EtcdBackupStore): string | undefined {
  return spec.s3?.caBundleSecretRef?.name;
}

/**
 * The flags of the fetch step for the store. Its credentials come from the Secret, as environment variables. `settings`
 * apply where the resource gives none.
 */
export function storeFlags({ spec }: EtcdBackupStore, settings: JobStoreSettings): string[] {
  const { s3 } = spec;
  if (s3 === undefined) throw fileStore();
  const endpoint = s3.endpoint ?? settings.endpoint;
  const region = s3.region ?? settings.region;
  const parameters = [
    ...(endpoint === undefined ? [] : [`endpoint=${encodeURIComponent(endpoint)}`]),
    ...(region === undefined ? [] : [`region=${encodeURIComponent(region)}`]),
    ...(s3.forcePathStyle ? ["pathStyle=true"] : []),
    ...(s3.checksum === "Auto" ? [] : [`checksum=${s3.checksum}`]),
  ];
  const folder = s3.prefix === undefined ? s3.bucket : `${s3.bucket}/${s3.prefix}`;
  const query = parameters.length === 0 ? "" : `?${parameters.join("&")}`;
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

/** The environment of the fetch step: the credentials, by reference to their Secret, and the operator's settings. */
export function storeEnv({ spec }: EtcdBackupStore, settings: JobStoreSettings): object[] {
  const { caBundlePem, proxy = {} } = settings;
  const plain = { ...proxy, ...(caBundlePem === undefined ? {} : { [storeCaVariable]: caBundlePem }) };
  // Kubernetes expands $(NAME) in a value, and writes $ for $$.
  const variables = Object.entries(plain).map(([name, value]) => ({
    name,
    value: value.replaceAll("$", "$$$$"),
  }));
  const name = spec.s3?.credentialsSecretRef?.name;
  if (name === undefined) return variables;
  const fromSecret = (key: string, optional: boolean) => ({
    name: key,
    valueFrom: { secretKeyRef: { name, key, ...(optional ? { optional } : {}) } },
  });
  return [
    fromSecret("AWS_ACCESS_KEY_ID", false),
    fromSecret("AWS_SECRET_ACCESS_KEY", false),
    fromSecret("AWS_SESSION_TOKEN", true),
    ...variables,
  ];
}
