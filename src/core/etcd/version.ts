/** A release of etcd or of one of its tools. */
export interface EtcdVersion {
  major: number;
  minor: number;
  patch: number;
}

/** Parses the first `x.y.z` in a version output or an image tag; `x.y` counts as `x.y.0`. */
export function parseEtcdVersion(text: string): EtcdVersion | undefined {
  const match = /(?<![\d.])(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?![\d])/.exec(text);
  if (match === null) return undefined;
  const [, major = "", minor = "", patch = "0"] = match;
  return { major: Number(major), minor: Number(minor), patch: Number(patch) };
}

/** The minor as text: `3.6`. */
export function minorOf({ major, minor }: EtcdVersion): string {
  return `${major}.${minor}`;
}

/** Whether `a` has a later minor than `b`. Patch releases of one minor read each other's files. */
export function isLaterMinor(a: EtcdVersion, b: EtcdVersion): boolean {
  return a.major > b.major || (a.major === b.major && a.minor > b.minor);
}

/** Whether the restore tool of this version has `--bump-revision`: since 3.4.27, 3.5.10 and 3.6.0. */
export function canBumpRevision({ major, minor, patch }: EtcdVersion): boolean {
  if (major !== 3) return major > 3;
  if (minor === 4) return patch >= 27;
  if (minor === 5) return patch >= 10;
  return minor > 5;
}
