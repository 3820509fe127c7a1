/**
 * The digest of uploads.
 * Auto: CRC-32C, and Content-MD5 where the store refuses or ignores it.
 * CRC32C: only that; a store that does not report it is refused with InvalidConfiguration.
 * MD5: only Content-MD5; no request has a header of S3's newer checksums.
 * None: neither; every object is read back.
 */
export const s3Checksums = ["Auto", "CRC32C", "MD5", "None"] as const;
export type S3Checksum = (typeof s3Checksums)[number];

/**
 * What a deletion does in a bucket with versioning.
 * Keep: it hides the object, whose versions stay.
 * Remove: it removes all versions and delete markers of the object.
 */
export const s3Versions = ["Keep", "Remove"] as const;
export type S3Versions = (typeof s3Versions)[number];

/** Whether the store is asked for the checksum that it holds of an object. */
export function reportsCrc({ checksum = "Auto" }: { checksum?: S3Checksum }): boolean {
  return checksum === "Auto" || checksum === "CRC32C";
}
