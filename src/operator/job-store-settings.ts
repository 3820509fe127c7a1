import { rootCertificates } from "node:tls";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import { OperatorError } from "../core/errors.ts";
import type { JobStoreSettings } from "../restore/kubernetes/job-store.ts";
import { withEnvironment } from "../store/environment.ts";
import type { ProxySettings } from "../store/proxy.ts";
import { type StoreSettingsOptions, storeSettings } from "./store-settings.ts";

/** Linux takes at most 128 KiB in one environment variable. */
const longestBundle = 96 * 1024;

/**
 * The settings with which the operator itself reaches a store, for the Jobs of a restore: their Pods have neither the
 * operator's environment nor its files. Holds no secret. Throws as `storeSettings` does.
 */
export async function jobStoreSettings(
  store: EtcdBackupStore,
  options: StoreSettingsOptions,
): Promise<JobStoreSettings> {
  const settings = await storeSettings(store, options);
  if (settings.kind === "file") return {};
  const { endpoint, proxy, ambient = true, ...resolved } = await withEnvironment(settings, options.env);
  const region = resolved.region ?? (ambient ? await ambientRegion() : undefined);
  // The Job mounts the bundle of caBundleSecretRef.
  const isMounted = store.spec.s3?.caBundleSecretRef !== undefined;
  const caBundlePem = bundleOf(isMounted ? undefined : resolved.caBundlePem);
  return {
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(caBundlePem === "" ? {} : { caBundlePem }),
    ...(proxy === undefined ? {} : { proxy: withoutPasswords(proxy) }),
  };
}

/** Loads the SDK only where it is needed. */
async function ambientRegion(): Promise<string> {
  return (await import("../store/s3/client.ts")).ambientRegion();
}

/** The CAs of the bundle without those that Node brings: often the bundle is that of a whole distribution. */
function bundleOf(pem = ""): string {
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const known = new Set(rootCertificates.map(bodyOf));
  const bundle = certificates.filter((certificate) => !known.has(bodyOf(certificate))).join("\n");
  if (bundle.length <= longestBundle) return bundle;
  throw new OperatorError(
    "InvalidConfiguration",
    `the operator's AWS_CA_BUNDLE has more than ${longestBundle} bytes of certificates, too many for a restore's Jobs`,
    { hint: "put the CA of the store's endpoint into a Secret and name it in spec.s3.caBundleSecretRef" },
  );
}

function bodyOf(certificate: string): string {
  return certificate.replaceAll(/-----[A-Z ]+-----|\s/g, "");
}

function withoutPasswords(proxy: ProxySettings): Record<string, string> {
  return Object.fromEntries(
    Object.entries(proxy).map(([name, text]: [string, string]) => {
      const url = name === "NO_PROXY" ? null : URL.parse(text);
      if (url === null) return [name, text];
      url.username = "";
      url.password = "";
      return [name, url.href];
    }),
  );
}
