import { createFileStore } from "./file/file-store.ts";
import { type WriteFence, fencedStore } from "./decorators/fenced.ts";
import { type Environment, withEnvironment } from "./environment.ts";
import type { StoreConfig } from "./url.ts";
import type { Store } from "./store.ts";

/** `fence`: the store is written only while it is open. */
export interface OpenOptions {
  env?: Environment;
  fence?: WriteFence;
}

/** Opens the store of a configuration with its decorators. Sends nothing yet. */
export async function openStore(config: StoreConfig, options: OpenOptions = {}): Promise<Store> {
  const store = await openBackend(config, options.env ?? process.env);
  return options.fence === undefined ? store : fencedStore(store, options.fence);
}

/** The SDK is loaded only for a store that needs it. */
async function openBackend(config: StoreConfig, env: Environment): Promise<Store> {
  switch (config.kind) {
    case "file":
      return createFileStore({ path: config.path });
    case "s3": {
      const { kind: _, ...options } = await withEnvironment(config, env);
      const { createS3Store } = await import("./s3/s3-store.ts");
      return createS3Store(options);
    }
    default:
      return config satisfies never;
  }
}
