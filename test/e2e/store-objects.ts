import { resourceObject, secret } from "../support/custom-resources.ts";
import { type Kube, kubeOf } from "../support/kube.ts";
import type { Site, SiteStore } from "./site.ts";

/** The cluster of a site in one namespace. A wait takes up to three minutes, and its error shows the objects around. */
export function kubeIn(site: Site, namespace: string): Kube {
  return kubeOf(site.kubectl, { namespace, seconds: 180, context: "pods,jobs,pvc,events" });
}

/** An EtcdBackupStore `store` for the site's bucket, and the Secret with its keys. */
export function storeObjects(namespace: string, store: SiteStore): object[] {
  const { endpoint, region, bucket, accessKeyId, secretAccessKey } = store;
  const keys = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  const credentialsSecretRef = { name: "s3" };
  const s3 = { endpoint, region, forcePathStyle: true, bucket, credentialsSecretRef };
  return [secret("s3", keys, namespace), resourceObject("EtcdBackupStore", "store", { s3 }, namespace)];
}
