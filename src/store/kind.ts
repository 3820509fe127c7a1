import type { Environment } from "./environment.ts";
import type { Store } from "./store.ts";

/** What the program has to know of one kind of store. `Config`: where a store is and how to reach it. */
export interface StoreKind<Config> {
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
}

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
