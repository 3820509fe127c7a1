import type { StoreKindName } from "../api/v1alpha1/etcd-backup-store-location.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import type { OperatorError } from "../core/errors.ts";
import type { StoreFacts } from "../core/store/facts.ts";
import type { JobStore } from "../core/store/job-store.ts";
import type { Environment } from "./environment.ts";
import type { Grants } from "./grants.ts";
import type { Store } from "./store.ts";

/** What the program has to know of one kind of store. `Config`: where a store is and how to reach it. */
export interface StoreKind<Config extends { kind: StoreKindName }> {
  /** Of its URLs, without a colon. */
  readonly scheme: string;
  /** Its URL with the usual parameters, for hints. */
  readonly form: string;
  /** Throws Usage, which quotes no secret. */
  parseUrl(url: URL, given: GivenUrl): Config;
  /** The URL from which `parseUrl` makes the same configuration, without secrets and CA bundle. */
  formatUrl(config: Config): string;
  /** Sends nothing yet. */
  open(config: Config, access: StoreAccess): Promise<Store>;
  facts(location: LocationOf<Config["kind"]>): Omit<StoreFacts, "jobRefusal">;
  /**
   * The settings of a location with its credentials. Throws CredentialsNotFound that names the Secret and the key, or
   * InvalidConfiguration for what the store's namespace may not use of the operator.
   */
  settings(location: LocationOf<Config["kind"]>, grants: Grants): Promise<Config>;
  /** How the Jobs of an EtcdRestore read the store, or why they cannot. */
  readonly inJobs: JobReading<Config> | { refusal(): OperatorError };
}

export interface JobReading<Config extends { kind: StoreKindName }> {
  /** `config`: the result of `settings`. `env`: the operator's. */
  forJobs(location: LocationOf<Config["kind"]>, config: Config, env: Environment): Promise<JobStore>;
}

/** The field of `spec` that names the location of a store of this kind. */
export type LocationOf<Name extends StoreKindName> = NonNullable<EtcdBackupStore["spec"][Name]>;

/** A URL as it was given, and how those of all kinds are written. */
export interface GivenUrl {
  text: string;
  forms: string;
}

/** `caBundlePem`: CAs to trust besides the default ones, in place of those that `env` names. */
export interface StoreAccess {
  env: Environment;
  caBundlePem?: string;
}
