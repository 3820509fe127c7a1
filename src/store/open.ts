import { type WriteFence, fencedStore } from "./decorators/fenced.ts";
import type { StoreAccess } from "./kind.ts";
import { type StoreConfig, storeKindOf } from "./kinds.ts";
import type { Store } from "./store.ts";

/** `fence`: the store is written only while it is open. */
export interface OpenOptions extends Partial<StoreAccess> {
  fence?: WriteFence;
}

/** Opens the store of a configuration with its decorators. Sends nothing yet. */
export async function openStore(config: StoreConfig, options: OpenOptions = {}): Promise<Store> {
  const { fence, env = process.env, ...ca } = options;
  const store = await storeKindOf(config).open(config, { env, ...ca });
  return fence === undefined ? store : fencedStore(store, fence);
}
