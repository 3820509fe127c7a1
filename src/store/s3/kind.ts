import { withEnvironment } from "../environment.ts";
import type { StoreKind } from "../kind.ts";
import { s3Facts, s3Settings } from "./location.ts";
import { type S3Config, formatS3Url, parseS3Url } from "./url.ts";

export const s3Kind: StoreKind<S3Config> = {
  scheme: "s3",
  form: "s3://bucket/prefix?endpoint=…&region=…&pathStyle=true",
  parseUrl: parseS3Url,
  formatUrl: formatS3Url,
  async open(config, { env, ...ca }) {
    const { kind: _, ...options } = await withEnvironment({ ...config, ...ca }, env);
    // The SDK is loaded only for a store that needs it.
    const { createS3Store } = await import("./s3-store.ts");
    return createS3Store(options);
  },
  facts: s3Facts,
  settings: s3Settings,
  inJobs: {
    // Only the operator needs it and Node's list of CAs.
    async forJobs(...given) {
      const { s3ForJobs } = await import("./job.ts");
      return s3ForJobs(...given);
    },
  },
};
