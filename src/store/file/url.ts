import type { GivenUrl } from "../kind.ts";
import { quoted, usage, withoutEndSlashes } from "../url-text.ts";

/** A directory. */
export interface FileConfig {
  kind: "file";
  path: string;
}

/** Characters of a DNS name. */
const longestHost = 253;

/** As `parseUrl` of a StoreKind. */
export function parseFileUrl(url: URL, { text }: GivenUrl): FileConfig {
  if (url.hostname !== "")
    throw usage(
      `${quoted(text)} names the host ${url.hostname.slice(0, longestHost)}`,
      "write a directory with three slashes: file:///backups",
    );
  if (url.search !== "" || url.hash !== "")
    throw usage(`${quoted(text)} has parameters`, "remove them: file:///directory takes none");
  const path = decoded(url.pathname);
  if (path === undefined || path.includes("\0")) throw usage(`${quoted(text)} is not a directory's URL`);
  if (path.split("/").some((segment) => segment === "." || segment === ".."))
    throw usage(`${quoted(text)} holds . or .. behind a %2F`);
  return { kind: "file", path: withoutEndSlashes(path) };
}

function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}

/** `file:///dir` of an absolute path. */
export function fileUrl(path: string): string {
  return `file://${path.split("/").map(encodeURIComponent).join("/")}`;
}
