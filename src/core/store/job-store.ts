/**
 * What the fetch step of a restore's Job needs to read a store: its Pod has neither the operator's environment nor its
 * files. Whoever may read the Job sees it, so it holds no secret.
 */
export interface JobStore {
  /** `--store URL`, and the others that the store needs. */
  flags: readonly string[];
  /** Environment variables by name. */
  variables: Readonly<Record<string, string>>;
  /** Environment variables from the keys of Secrets. */
  secretVariables: readonly SecretVariable[];
  mounts: readonly StoreMount[];
}

/** The key of the Secret has the name of the variable. */
export interface SecretVariable {
  name: string;
  secret: string;
  /** Whether the key may be absent. */
  optional: boolean;
}

/** `volume`: the source of a volume of the Pod, such as `{ secret: { secretName } }`. */
export interface StoreMount {
  name: string;
  path: string;
  volume: object;
}

/** Environment variable of the fetch step: CAs to trust for the store's endpoint besides the others, PEM. */
export const storeCaVariable = "ETCD_BACKUP_STORE_CA";

/** The flags of the fetch step for a Secret whose key ca.crt holds CAs to trust for the store's endpoint, and its mount. */
export function storeCaOf(secretName: string): { flags: string[]; mount: StoreMount } {
  const path = "/etc/etcd-backup/store-ca";
  return {
    flags: ["--store-ca", `${path}/ca.crt`],
    mount: { name: "store-ca", path, volume: { secret: { secretName } } },
  };
}
