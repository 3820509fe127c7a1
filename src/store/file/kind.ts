import { OperatorError } from "../../core/errors.ts";
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
  inJobs: {
    refusal: () =>
      new OperatorError(
        "InvalidConfiguration",
        "an EtcdRestore needs an s3 store: the members' Jobs cannot read a directory of the operator",
        {
          hint: "restore with `etcd-backup restore` where the directory is mounted, or copy the backup to a bucket",
        },
      ),
  },
};
