import type { Infer } from "../../api/schema/schema.ts";
import { parseBackupName, parseDataObject } from "../../core/backup/name.ts";
import { findMismatch } from "../../core/check-schema.ts";
import { OperatorError } from "../../core/errors.ts";
import { manifestSchema, manifestVersion } from "./schema.ts";

/** Everything needed to find, trust and restore one backup. It is written last: without it there is no backup. */
export type Manifest = Infer<typeof manifestSchema>;

/** Bytes. A manifest is about 2 KiB; more than this was not written by us. */
export const maxManifestSize = 64 * 1024;

/** Levels. Ours has three; what later releases add is not read, but has to be written back. */
const maxDepth = 32;

/** Canonical: keys sorted at every level, no white space but the last newline. */
export function encodeManifest(manifest: Manifest): Buffer {
  return Buffer.from(`${JSON.stringify(sorted(manifest))}\n`);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(
    entries.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => [key, sorted(item)]),
  );
}

function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((item) => isDeeperThan(item, levels - 1));
}

/** Reads a manifest found under `objectName`. Throws VerificationFailed with what is wrong; never guesses a version. */
export function parseManifest(bytes: Uint8Array, objectName: string): Manifest {
  const refuse = (what: string, hint?: string) =>
    new OperatorError(
      "VerificationFailed",
      `manifest ${objectName}: ${what}`,
      hint === undefined ? {} : { hint },
    );
  if (bytes.length > maxManifestSize) throw refuse(`${bytes.length} bytes are more than a manifest can have`);
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw refuse("it is not JSON");
  }
  if (isDeeperThan(document, maxDepth)) throw refuse(`it is nested deeper than ${maxDepth} levels`);
  const version =
    typeof document === "object" && document !== null ? Reflect.get(document, "formatVersion") : undefined;
  if (Number.isSafeInteger(version) && version !== manifestVersion) {
    throw refuse(
      `format version ${version} is not known, only ${manifestVersion}`,
      "use the release of etcd-backup that wrote it, or a newer one",
    );
  }
  const mismatch = findMismatch(document, manifestSchema);
  if (mismatch !== undefined) throw refuse(mismatch);
  const manifest = document as Manifest;
  const expected = `${manifest.cluster.name}/${manifest.name}.json`;
  if (objectName !== expected) throw refuse(`it says that it is ${expected}: was it copied or renamed?`);
  const name = parseBackupName(manifest.name);
  if (name === undefined) throw refuse(`name ${manifest.name} is not a backup's name`);
  if (name.revision !== manifest.snapshot.revision)
    throw refuse("its name and its snapshot disagree about the revision");
  if (
    !manifest.stored.object.startsWith(`${manifest.cluster.name}/`) ||
    manifest.stored.object.includes("..")
  ) {
    throw refuse(`stored.object ${JSON.stringify(manifest.stored.object)} lies outside the cluster's folder`);
  }
  if (parseDataObject(manifest.stored.object)?.clusterName !== manifest.cluster.name)
    throw refuse(`stored.object ${JSON.stringify(manifest.stored.object)} is not a data object's name`);
  return manifest;
}
