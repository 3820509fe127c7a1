import type { StoreKind } from "../kind.ts";
import { createFileStore } from "./file-store.ts";
import { type FileConfig, fileUrl, parseFileUrl } from "./url.ts";

export const fileKind: StoreKind<FileConfig> = {
  scheme: "file",
  form: "file:///directory",
  parseUrl: parseFileUrl,
  formatUrl: ({ path }) => fileUrl(path),
  open: async ({ path }) => createFileStore({ path }),
  facts: () => ({ missing: "PathNotFound", secrets: [], removesVersions: false }),
  async settings({ path }, grants) {
    grants.checkHostPath("spec.file");
    return { kind: "file", path };
  },
};
