import { OperatorError } from "../core/errors.ts";

/**
 * The namespaces whose resources may name paths in the operator's file system, such as a mounted control-plane
 * certificate. "all" trusts everybody who may create an EtcdBackup in any namespace.
 */
export type HostPathNamespaces = ReadonlySet<string> | "all";

/** Throws InvalidConfiguration for a namespace that may not name paths. */
export function checkHostPath(field: string, namespace: string, allowed: HostPathNamespaces): void {
  if (allowed === "all" || allowed.has(namespace)) return;
  throw new OperatorError(
    "InvalidConfiguration",
    `${field} names a path in the operator's file system, which namespace ${namespace} may not use`,
    { hint: "use a Secret or s3, or start the operator with --host-path-namespaces" },
  );
}
