import type { BackupResources } from "../../controllers/backup/context.ts";
import type { RestoreResources } from "../../controllers/restore/context.ts";
import type { StoreControllerDeps } from "../../controllers/store/reconcile.ts";
import type { Fence } from "../../kube/leader/fence.ts";
import type { Store } from "../store.ts";
import type { operatorResources } from "../../operator/resources.ts";

type Check = Pick<Fence, "check">;

/** The same store, changed only while the fence is open: an object becomes visible only if it is open at its last byte. */
export function fencedStore(store: Store, fence: Check): Store {
  return {
    ...store,
    async probe(options) {
      fence.check();
      return store.probe(options);
    },
    async put(name, source, options) {
      fence.check();
      return store.put(name, whileOpen(source, fence), options);
    },
    async remove(name, options) {
      fence.check();
      return store.remove(name, options);
    },
    async sweep(prefix, options) {
      fence.check();
      return store.sweep(prefix, options);
    },
  };
}

async function* whileOpen(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  fence: Check,
): AsyncGenerator<Uint8Array> {
  yield* source;
  fence.check();
}

/** The same resources, written only while the fence is open. */
export function fencedResources(
  resources: ReturnType<typeof operatorResources>,
  fence: Check,
): BackupResources &
  RestoreResources & { writeStoreStatus: StoreControllerDeps["resources"]["writeStatus"] } {
  return {
    ...resources,
    async writeStatus(...change) {
      fence.check();
      await resources.writeStatus(...change);
    },
    async writeFinalizers(...change) {
      fence.check();
      await resources.writeFinalizers(...change);
    },
    async writeStoreStatus(...change) {
      fence.check();
      await resources.writeStoreStatus(...change);
    },
    async writeRestoreStatus(...change) {
      fence.check();
      await resources.writeRestoreStatus(...change);
    },
    async create(...object) {
      fence.check();
      return resources.create(...object);
    },
  };
}
