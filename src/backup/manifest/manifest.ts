import type { Infer } from "../../api/schema/schema.ts";
import { dataObjectsOf, parseBackupName } from "../../core/backup/name.ts";
import { findMismatch } from "../../core/check-schema.ts";
import { OperatorError } from "../../core/errors.ts";
import { trailerSize } from "../../snapshot/trailer.ts";
import { findFrameProblem } from "./frames.ts";
import { manifestSchema, manifestVersion } from "./schema.ts";

/** Everything needed to find, verify and restore one backup. It is written last: without it there is no backup. */
export type Manifest = Infer<typeof manifestSchema>;

/**
 * Bytes. A manifest has about 2 KiB, and 2 KiB more for each GiB of the database: 130 KiB for the 64 GiB that `frames`
 * can list. A larger object is not a manifest.
 */
export const maxManifestSize = 256 * 1024;

/** Levels of nesting. The format has three; later releases may add some, and `sorted` recurses through all of them. */
const maxDepth = 32;

/** The canonical JSON: keys sorted at every level, and no white space except the final newline. */
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

/** What to do about the manifest of a later release. */
export const laterReleaseHint = "use the release of etcd-backup that wrote it, or a newer one";

/**
 * Parses the manifest stored as `objectName`. Throws Refused for the format of a later release, which is no damage, and
 * VerificationFailed with the first problem that it finds otherwise.
 */
export function parseManifest(bytes: Uint8Array, objectName: string): Manifest {
  const refuse = (problem: string) =>
    new OperatorError("VerificationFailed", `manifest ${objectName}: ${problem}`);
  if (bytes.length > maxManifestSize)
    throw refuse(`it has ${bytes.length} bytes, more than the limit of ${maxManifestSize}`);
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
    const problem = `format version ${version} is not supported, only ${manifestVersion}`;
    if (version < manifestVersion) throw refuse(problem);
    throw new OperatorError("Refused", `manifest ${objectName}: ${problem}`, { hint: laterReleaseHint });
  }
  const mismatch = findMismatch(document, manifestSchema);
  if (mismatch !== undefined) throw refuse(mismatch);
  const manifest = document as Manifest;
  const expected = `${manifest.cluster.name}/${manifest.name}.json`;
  if (objectName !== expected)
    throw refuse(`the manifest names the object ${expected}; it was copied or renamed`);
  const name = parseBackupName(manifest.name);
  if (name === undefined) throw refuse(`name ${manifest.name} is not a backup's name`);
  if (name.revision !== manifest.snapshot.revision)
    throw refuse("the revision in its name differs from snapshot.revision");
  // Whoever may write to the folder could name the data of another backup.
  if (!dataObjectsOf(manifest.cluster.name, name).includes(manifest.stored.object))
    throw refuse(`stored.object ${JSON.stringify(manifest.stored.object)} is not the data of this backup`);
  const { frames, ...stored } = manifest.stored;
  const plainBytes = manifest.snapshot.totalSizeBytes + trailerSize;
  const problem = frames && findFrameProblem(frames, { ...stored, plainBytes });
  if (problem !== undefined) throw refuse(`stored.frames: ${problem}`);
  return manifest;
}
