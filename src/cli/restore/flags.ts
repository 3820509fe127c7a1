import type { GlobalFlags } from "../context.ts";
import type { OutputFormat, StoreFlags } from "../flags.ts";
import type { LayoutFlags } from "./layout.ts";

export interface RestoreFlags extends GlobalFlags, StoreFlags, LayoutFlags {
  initialClusterToken?: string;
  bumpRevision: string;
  etcdutl?: string;
  output: OutputFormat;
}

/** Far more revisions than a cluster writes between a backup and its loss. */
export const defaultBumpRevision = "1000000000";
