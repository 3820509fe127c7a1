import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import type { JobStore } from "../core/store/job-store.ts";
import type { Environment } from "../store/environment.ts";
import type { Grants } from "../store/grants.ts";
import { type StoreConfig, jobStoreOf, settingsOf } from "../store/kinds.ts";
import { optionalText, secretText } from "./connection-reader.ts";
import type { ResolveOptions } from "./etcd-connection.ts";
import { hostOf, refuseOwnAddress } from "./own-addresses.ts";
import {
  type Permissions,
  checkAmbientCredentials,
  checkHostPath,
  isPermitted,
  originOf,
} from "./permissions.ts";

export interface StoreSettingsOptions extends ResolveOptions {
  /** The operator's. */
  env: Environment;
}

/** The store's settings with its credentials. Throws as `settings` of a StoreKind does. */
export async function storeSettings(
  store: EtcdBackupStore,
  options: StoreSettingsOptions,
): Promise<StoreConfig> {
  return settingsOf(store, grantsFor(store, options));
}

/** What the Jobs of a restore need to read a store as the operator does. Throws as `jobStoreOf` does. */
export async function jobStore(store: EtcdBackupStore, options: StoreSettingsOptions): Promise<JobStore> {
  return jobStoreOf(store, grantsFor(store, options));
}

/** What the namespace of a store may use of the operator. */
function grantsFor(
  { metadata: { namespace = "default" } }: EtcdBackupStore,
  { reader, permissions, env, signal }: StoreSettingsOptions,
): Grants {
  const isExempt = isPermitted(namespace, permissions.loopback);
  return {
    env,
    ambient: isPermitted(namespace, permissions.ambientCredentials),
    checkAmbientCredentials: (field, endpoint, own) =>
      checkAmbientCredentials(field, namespace, endpoint, withEndpoint(permissions, own)),
    checkHostPath: (field) => checkHostPath(field, namespace, permissions.hostPaths),
    checkEndpoint(url) {
      if (!isExempt) refuseOwnAddress(hostOf(url), hostOf(url));
    },
    ...(isExempt ? {} : { checkAddress: refuseOwnAddress }),
    async secret(name) {
      const secret = await reader.secret(namespace, name, signal);
      return {
        text: (key) => secretText(secret, key, name),
        optional: (key) => optionalText(secret, key),
      };
    },
  };
}

/** The endpoint of the operator's environment is part of its configuration. */
function withEndpoint(permissions: Permissions, own: string | undefined): Permissions {
  if (own === undefined) return permissions;
  return { ...permissions, ambientEndpoints: new Set([...permissions.ambientEndpoints, originOf(own)]) };
}
