import { type StoreConfig, fileUrl } from "./url.ts";

/** The URL from which `parseStoreUrl` makes the same configuration, without credentials and CA bundle. */
export function formatStoreUrl(config: StoreConfig): string {
  switch (config.kind) {
    case "file":
      return fileUrl(config.path);
    case "s3": {
      const {
        bucket,
        prefix,
        region,
        endpoint,
        forcePathStyle,
        serverSideEncryption: sse,
        storageClass,
        checksum,
        versions,
      } = config;
      const query = new URLSearchParams({
        ...(endpoint === undefined ? {} : { endpoint }),
        ...(region === undefined ? {} : { region }),
        ...(forcePathStyle === undefined ? {} : { pathStyle: String(forcePathStyle) }),
        ...(sse === undefined ? {} : { sse: sse.mode === "KMS" ? "aws:kms" : sse.mode }),
        ...(sse?.kmsKeyID === undefined ? {} : { kmsKeyID: sse.kmsKeyID }),
        ...(storageClass === undefined ? {} : { storageClass }),
        ...(checksum === undefined ? {} : { checksum }),
        ...(versions === undefined ? {} : { versions }),
      });
      return `s3://${bucket}${prefix === "" ? "" : `/${prefix}`}${query.size === 0 ? "" : `?${query.toString()}`}`;
    }
    default:
      return config satisfies never;
  }
}
