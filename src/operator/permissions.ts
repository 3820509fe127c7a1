import { OperatorError } from "../core/errors.ts";

/** Namespaces that have a permission. "all": every namespace. */
export type NamespaceSet = ReadonlySet<string> | "all";

/**
 * What the operator's configuration lets resources use of the operator itself, by the namespace of the resource. The
 * operator has more rights than whoever creates a resource: without these limits it would lend them its own.
 */
export interface Permissions {
  /** May name paths in the operator's file system, such as a mounted control-plane certificate. */
  hostPaths: NamespaceSet;
  /** May use the AWS credentials, endpoint and region of the operator's environment. */
  ambientCredentials: NamespaceSet;
  /** Origins (`scheme://host:port`) of S3-compatible stores to which these credentials may be sent. */
  ambientEndpoints: ReadonlySet<string>;
  /** May find etcd by a Service or Pods of another namespace. */
  crossNamespaceEtcd: NamespaceSet;
  /** May name loopback and link-local addresses of the operator as endpoints. */
  loopback: NamespaceSet;
}

/** Permissions as flags give them. Undefined: the operator's own namespace. */
export interface PermissionOptions {
  hostPaths?: NamespaceSet | undefined;
  ambientCredentials?: NamespaceSet | undefined;
  /** URLs; none when absent. */
  ambientEndpoints?: readonly string[];
  crossNamespaceEtcd?: NamespaceSet | undefined;
  /** Absent: as hostPaths. */
  loopback?: NamespaceSet | undefined;
}

export function permissionsOf(options: PermissionOptions, ownNamespace: string): Permissions {
  const own = new Set([ownNamespace]);
  return {
    hostPaths: options.hostPaths ?? own,
    ambientCredentials: options.ambientCredentials ?? own,
    ambientEndpoints: new Set((options.ambientEndpoints ?? []).map(originOf)),
    crossNamespaceEtcd: options.crossNamespaceEtcd ?? own,
    loopback: options.loopback ?? options.hostPaths ?? own,
  };
}

export function isPermitted(namespace: string, allowed: NamespaceSet): boolean {
  return allowed === "all" || allowed.has(namespace);
}

/** Throws InvalidConfiguration for a namespace that may not name paths. */
export function checkHostPath(field: string, namespace: string, allowed: NamespaceSet): void {
  if (isPermitted(namespace, allowed)) return;
  throw new OperatorError(
    "InvalidConfiguration",
    `${field} names a path in the operator's file system, which namespace ${namespace} may not use`,
    { hint: "use a Secret or s3, or start the operator with --host-path-namespaces" },
  );
}

/**
 * Throws CredentialsNotFound for a namespace that may not use the operator's own credentials, and InvalidConfiguration
 * for an endpoint that is not the operator's: whoever runs that endpoint could use the credentials elsewhere.
 */
export function checkAmbientCredentials(
  field: string,
  namespace: string,
  endpoint: string | undefined,
  { ambientCredentials, ambientEndpoints }: Pick<Permissions, "ambientCredentials" | "ambientEndpoints">,
): void {
  if (!isPermitted(namespace, ambientCredentials))
    throw new OperatorError(
      "CredentialsNotFound",
      `${field} has no credentialsSecretRef, and namespace ${namespace} may not use the operator's own credentials`,
      { hint: "add credentialsSecretRef, or start the operator with --ambient-credentials-namespaces" },
    );
  if (endpoint === undefined || ambientEndpoints.has(originOf(endpoint))) return;
  throw new OperatorError(
    "InvalidConfiguration",
    `${field} has no credentialsSecretRef, and the operator's own credentials may not be sent to ${originOf(endpoint)}`,
    { hint: "add credentialsSecretRef, or start the operator with --ambient-credentials-endpoints" },
  );
}

/** Throws InvalidConfiguration for a namespace that may not find etcd in another one. */
export function checkOtherNamespace(
  field: string,
  namespace: string,
  { own, allowed }: { own: string; allowed: NamespaceSet },
): void {
  if (namespace === own || isPermitted(own, allowed)) return;
  throw new OperatorError(
    "InvalidConfiguration",
    `${field} is ${namespace}, and resources of namespace ${own} may not use another namespace`,
    {
      hint: "create the resource in that namespace, name the members in spec.etcd.endpoints, or start the operator with --cross-namespace-etcd-namespaces",
    },
  );
}

/** `scheme://host:port` of a URL, in lower case and without a default port. Another text is returned as it is. */
export function originOf(url: string): string {
  const parsed = URL.parse(url);
  return parsed === null ? url : parsed.origin;
}
