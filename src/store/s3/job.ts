import { rootCertificates } from "node:tls";
import { OperatorError } from "../../core/errors.ts";
import {
  type JobStore,
  type SecretVariable,
  storeCaOf,
  storeCaVariable,
} from "../../core/store/job-store.ts";
import { type Environment, withEnvironment } from "../environment.ts";
import type { LocationOf } from "../kind.ts";
import type { ProxySettings } from "../proxy.ts";
import { type S3Config, formatS3Url } from "./url.ts";

/** Linux takes at most 128 KiB in one environment variable. */
const longestBundle = 96 * 1024;

/** As `forJobs` of a StoreKind. */
export async function s3ForJobs(
  { credentialsSecretRef, caBundleSecretRef }: LocationOf<"s3">,
  config: S3Config,
  env: Environment,
): Promise<JobStore> {
  const { proxy = {}, ambient = true, ...resolved } = await withEnvironment(config, env);
  const { bucket, prefix, endpoint, forcePathStyle, checksum } = resolved;
  const region = resolved.region ?? (ambient ? await ambientRegion() : undefined);
  const url = formatS3Url({
    kind: "s3",
    bucket,
    prefix,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(forcePathStyle === true ? { forcePathStyle } : {}),
    ...(checksum === undefined || checksum === "Auto" ? {} : { checksum }),
  });
  const ca = caBundleSecretRef === undefined ? undefined : storeCaOf(caBundleSecretRef.name);
  const caBundlePem = bundleOf(ca === undefined ? resolved.caBundlePem : undefined);
  return {
    flags: ["--store", url, ...(ca?.flags ?? [])],
    variables: {
      ...withoutPasswords(proxy),
      ...(caBundlePem === "" ? {} : { [storeCaVariable]: caBundlePem }),
    },
    secretVariables: credentialsSecretRef === undefined ? [] : keysIn(credentialsSecretRef.name),
    mounts: ca === undefined ? [] : [ca.mount],
  };
}

function keysIn(secret: string): SecretVariable[] {
  return [
    { name: "AWS_ACCESS_KEY_ID", secret, optional: false },
    { name: "AWS_SECRET_ACCESS_KEY", secret, optional: false },
    { name: "AWS_SESSION_TOKEN", secret, optional: true },
  ];
}

/** Loads the SDK only where it is needed. */
async function ambientRegion(): Promise<string> {
  return (await import("./client.ts")).ambientRegion();
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
