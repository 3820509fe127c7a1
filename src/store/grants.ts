import type { Environment } from "./environment.ts";

/** What the operator gives to the EtcdBackupStores of one namespace. */
export interface Grants {
  /** The operator's environment. */
  env: Environment;
  /** Whether the namespace may use the credentials and the settings of this environment. */
  ambient: boolean;
  /**
   * Throws CredentialsNotFound or InvalidConfiguration when the operator's credentials may not be sent to `endpoint`;
   * undefined is the default one. `field`: of the spec. `own`: the endpoint that the operator's environment names.
   */
  checkAmbientCredentials(field: string, endpoint: string | undefined, own: string | undefined): void;
  /** Throws InvalidConfiguration when the namespace may not name a path of the operator. `field`: of the spec. */
  checkHostPath(field: string): void;
  /** Throws InvalidConfiguration for a URL with an IP address of the operator itself. A name is not resolved. */
  checkEndpoint(url: string): void;
  /** Throws InvalidConfiguration for an address of the operator itself. Absent: the namespace may name those. */
  checkAddress?: (ip: string, host: string) => void;
  /** Throws CredentialsNotFound when there is no such Secret. */
  secret(name: string): Promise<GrantedSecret>;
}

/** The texts of a Secret, without their last newline. */
export interface GrantedSecret {
  /** Throws CredentialsNotFound for a key that is absent or empty. */
  text(key: string): string;
  optional(key: string): string | undefined;
}
