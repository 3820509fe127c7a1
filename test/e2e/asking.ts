import { secret } from "../support/custom-resources.ts";
import type { Site, SiteStore } from "./site.ts";

/** What scenarios say to a cluster, in one namespace. */
export interface Asking {
  readonly namespace: string;
  apply(...objects: object[]): Promise<void>;
  get<T>(what: string): Promise<T>;
  /** As `kubectl wait --for`; what never came to be is told with all that lies around it. */
  wait(what: string, condition: string, seconds?: number): Promise<void>;
  resource(kind: string, name: string, spec: object): object;
}

export function asking(site: Site, namespace: string): Asking {
  return {
    namespace,
    async apply(...items) {
      const input = JSON.stringify({ apiVersion: "v1", kind: "List", items });
      await site.kubectl(["apply", "--server-side", "-f", "-"], { input });
    },
    get: async <T>(what: string): Promise<T> =>
      JSON.parse(await site.kubectl(["get", what, "-n", namespace, "-o", "json"])) as T,
    async wait(what, condition, seconds = 180) {
      const args = ["wait", what, "-n", namespace, `--for=${condition}`, `--timeout=${seconds}s`];
      await site.kubectl(args).catch(async (error: unknown) => {
        const seen = await site.kubectl(["get", what, "-n", namespace, "-o", "yaml"]).catch(String);
        const around = await site.kubectl(["get", "pods,jobs,pvc,events", "-n", namespace]).catch(String);
        throw new Error(`${what} never was ${condition}; it is\n${seen}\n${around}`, { cause: error });
      });
    },
    resource: (kind, name, spec) => ({
      apiVersion: "etcdbackup.dev/v1alpha1",
      kind,
      metadata: { name, namespace },
      spec,
    }),
  };
}

/** The condition that scripts wait for, by its reason. */
export function reasonIs(reason: string): string {
  return `jsonpath={.status.conditions[?(@.type=="Succeeded")].reason}=${reason}`;
}

/** An EtcdBackupStore `store` for the site's bucket, and the Secret with its keys. */
export function storeObjects({ namespace, resource }: Asking, store: SiteStore): object[] {
  const { endpoint, region, bucket, accessKeyId, secretAccessKey } = store;
  const keys = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  const credentialsSecretRef = { name: "s3" };
  const s3 = { endpoint, region, forcePathStyle: true, bucket, credentialsSecretRef };
  return [secret("s3", keys, namespace), resource("EtcdBackupStore", "store", { s3 })];
}
