import type { KubeObject, KubeObjectMeta, ResourceKind } from "../objects.ts";
import { conflict, invalid, modified } from "./refusal.fixture.ts";

type Kind = ResourceKind<KubeObject>;

/** The part of metadata that a client writes. Empty labels, annotations and lists are left out, as the server does. */
export type WrittenMetadata = Pick<
  KubeObjectMeta,
  "labels" | "annotations" | "finalizers" | "ownerReferences"
>;

export function writtenMetadata(given: Partial<KubeObjectMeta>): WrittenMetadata {
  const { labels = {}, annotations = {}, finalizers = [], ownerReferences = [] } = given;
  return {
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    ...(finalizers.length === 0 ? {} : { finalizers: [...new Set(finalizers)] }),
    ...(ownerReferences.length === 0 ? {} : { ownerReferences }),
  };
}

/** The part that the server alone writes. */
export function serverMetadata(metadata: KubeObjectMeta): Omit<KubeObjectMeta, keyof WrittenMetadata> {
  const { name, namespace, uid, resourceVersion, generation, creationTimestamp, deletionTimestamp } =
    metadata;
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    uid,
    resourceVersion,
    generation,
    creationTimestamp,
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
  };
}

const objectName = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

export function checkName(kind: Kind, name: string): void {
  if (name === "") throw invalid(kind, name, ["metadata.name: Required value: name is required"]);
  if (name.length > 253 || !objectName.test(name)) {
    throw invalid(kind, name, [
      `metadata.name: Invalid value: "${name}": not a lowercase RFC 1123 subdomain`,
    ]);
  }
}

export function checkLabels(kind: Kind, name: string, { labels = {} }: WrittenMetadata): void {
  for (const value of Object.values(labels)) {
    if (value.length > 63 || !labelValue.test(value))
      throw invalid(kind, name, [`metadata.labels: Invalid value: "${value}": not a valid label`]);
  }
}

/** The preconditions that a write carries in its metadata. */
export function checkPreconditions(
  kind: Kind,
  before: KubeObjectMeta,
  given: { uid?: string; resourceVersion?: string },
): void {
  const { uid, resourceVersion } = given;
  if (resourceVersion !== undefined && resourceVersion !== before.resourceVersion)
    throw modified(kind, before.name);
  if (uid !== undefined && uid !== before.uid) {
    const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${before.uid}`;
    throw conflict(kind, before.name, why);
  }
}

/** While an object is being deleted finalizers only go. */
export function checkFinalizers(kind: Kind, before: KubeObjectMeta, next: WrittenMetadata): void {
  if (before.deletionTimestamp === undefined) return;
  const added = (next.finalizers ?? []).filter((name) => before.finalizers?.includes(name) !== true);
  if (added.length === 0) return;
  const why = `no new finalizers can be added if the object is being deleted, found ${added.join(", ")}`;
  throw invalid(kind, before.name, [`metadata.finalizers: Forbidden: ${why}`]);
}
