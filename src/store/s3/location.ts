import type { StoreFacts } from "../../core/store/facts.ts";
import { endpointOf } from "../environment.ts";
import type { Grants, GrantedSecret } from "../grants.ts";
import type { LocationOf } from "../kind.ts";
import type { S3Credentials } from "./client.ts";
import type { S3Config } from "./url.ts";

type S3Location = LocationOf<"s3">;

/** As `facts` of a StoreKind. */
export function s3Facts({
  credentialsSecretRef,
  caBundleSecretRef,
  versions,
}: S3Location): Omit<StoreFacts, "jobRefusal"> {
  return {
    missing: "BucketNotFound",
    secrets: [credentialsSecretRef, caBundleSecretRef].flatMap((ref) => ref?.name ?? []),
    removesVersions: versions === "Remove",
  };
}

/** As `settings` of a StoreKind. */
export async function s3Settings(location: S3Location, grants: Grants): Promise<S3Config> {
  const { credentialsSecretRef, caBundleSecretRef, ...rest } = location;
  const { bucket, prefix, region, endpoint, forcePathStyle, checksum, versions } = rest;
  const { serverSideEncryption, storageClass } = rest;
  if (credentialsSecretRef === undefined)
    grants.checkAmbientCredentials("spec.s3", endpoint, endpointOf(grants.env));
  const { checkAddress } = endpoint === undefined ? {} : grants;
  // A connection to an IP address resolves no name.
  if (endpoint !== undefined) grants.checkEndpoint(endpoint);
  const keys = credentialsSecretRef && (await grants.secret(credentialsSecretRef.name));
  const bundle = caBundleSecretRef && (await grants.secret(caBundleSecretRef.name));
  return {
    kind: "s3",
    bucket,
    prefix: prefix ?? "",
    forcePathStyle,
    checksum,
    versions,
    ...(grants.ambient ? {} : { ambient: false }),
    ...(checkAddress === undefined ? {} : { checkAddress }),
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(serverSideEncryption === undefined ? {} : { serverSideEncryption }),
    ...(storageClass === undefined ? {} : { storageClass }),
    ...(keys === undefined ? {} : { credentials: credentialsOf(keys) }),
    ...(bundle === undefined ? {} : { caBundlePem: bundle.text("ca.crt") }),
  };
}

function credentialsOf(secret: GrantedSecret): S3Credentials {
  const sessionToken = secret.optional("AWS_SESSION_TOKEN");
  return {
    accessKeyId: secret.text("AWS_ACCESS_KEY_ID"),
    secretAccessKey: secret.text("AWS_SECRET_ACCESS_KEY"),
    ...(sessionToken === undefined ? {} : { sessionToken }),
  };
}
