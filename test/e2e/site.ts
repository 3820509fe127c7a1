import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { binary } from "../harness/binaries.ts";
import { originalEnvironment } from "../harness/environment.ts";
import { chartPath, helmOrThrow } from "../harness/helm.ts";
import { runOrThrow, tempDir } from "../harness/process.ts";
import { startS3 } from "../harness/s3-server.ts";
import type { Kubectl } from "../support/kube.ts";
import { objectKeys, rawClient } from "../support/s3-store.ts";
import { images } from "./images.ts";
import { startNode } from "./node.ts";

/** An S3 bucket that the Pods and this process reach by the same endpoint. */
export interface SiteStore {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Keys that begin with the prefix. */
  objects(prefix: string): Promise<string[]>;
  object(key: string): Promise<Buffer>;
  overwrite(key: string, content: Buffer): Promise<void>;
}

/** A Kubernetes cluster with the operator in kube-system, installed by Helm, and a store. */
export interface Site extends AsyncDisposable {
  readonly kubectl: Kubectl;
  readonly store: SiteStore;
  /** Image of etcd 3.6 that the nodes have or can pull. */
  readonly etcdImage: string;
  /** The node belongs to the test, which may destroy its control plane. */
  readonly ownNode: boolean;
  /** `helm upgrade --install` of the chart with these values; resolves when the operator is ready. */
  helmUpgrade(values?: string[]): Promise<void>;
}

export const operatorNamespace = "kube-system";
/** Where the tests restore clusters. It exists before the chart, which makes a Role in it. */
export const labNamespace = "lab";
export const release = "etcd-backup-operator";

/**
 * Starts a node and a store, in the Linux namespaces that test/e2e/main.ts has created. With E2E_KUBECONFIG it uses that
 * cluster instead, which needs a default StorageClass. Then E2E_IMAGE and E2E_ETCD_IMAGE are images that its nodes can
 * pull, and E2E_S3_ENDPOINT, E2E_S3_BUCKET, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY select a store that
 * its Pods can reach.
 */
export async function startSite(): Promise<Site> {
  const env = originalEnvironment();
  const kubeconfig = env["E2E_KUBECONFIG"];
  return kubeconfig === undefined ? startOwn(required(env, "E2E_IMAGES")) : openForeign(kubeconfig, env);
}

async function startOwn(imagesDirectory: string): Promise<Site> {
  await using stack = new AsyncDisposableStack();
  const node = stack.use(await startNode(imagesDirectory));
  const s3 = stack.use(await startS3("versitygw", { host: node.address }));
  await s3.createBucket("backups");
  const { endpoint, region, accessKeyId, secretAccessKey } = s3;
  const site = await siteOf(stack, {
    kubeconfig: node.kubeconfigPath,
    store: { endpoint, region, bucket: "backups", accessKeyId, secretAccessKey },
    image: images.operator,
    etcdImage: images.etcd,
    ownNode: true,
  });
  await site.kubectl(["create", "namespace", labNamespace]);
  await site.helmUpgrade();
  const started = stack.move();
  return { ...site, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

async function openForeign(kubeconfig: string, env: NodeJS.ProcessEnv): Promise<Site> {
  await using stack = new AsyncDisposableStack();
  const site = await siteOf(stack, {
    kubeconfig,
    store: {
      endpoint: required(env, "E2E_S3_ENDPOINT"),
      region: env["AWS_REGION"] ?? "us-east-1",
      bucket: required(env, "E2E_S3_BUCKET"),
      accessKeyId: required(env, "AWS_ACCESS_KEY_ID"),
      secretAccessKey: required(env, "AWS_SECRET_ACCESS_KEY"),
    },
    image: required(env, "E2E_IMAGE"),
    etcdImage: required(env, "E2E_ETCD_IMAGE"),
    ownNode: false,
  });
  const where = [`--namespace=${operatorNamespace}`, `--kubeconfig=${kubeconfig}`];
  stack.defer(async () => void (await helmOrThrow(["uninstall", release, ...where])));
  await site.kubectl(["create", "namespace", labNamespace]);
  await site.helmUpgrade();
  const started = stack.move();
  return { ...site, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

function required(env: NodeJS.ProcessEnv, name: string): string {
  const value = env[name];
  if (value) return value;
  throw new Error(`${name} is not set: run npm run test:e2e, and see test/e2e/site.ts`);
}

interface Parts {
  kubeconfig: string;
  store: Omit<SiteStore, "objects" | "object" | "overwrite">;
  image: string;
  etcdImage: string;
  ownNode: boolean;
}

async function siteOf(
  stack: AsyncDisposableStack,
  { kubeconfig, store, image, etcdImage, ownNode }: Parts,
): Promise<Omit<Site, keyof AsyncDisposable>> {
  const kubectlPath = await binary("kubectl");
  const cache = stack.use(await tempDir("kubectl")).path;
  const { bucket } = store;
  const client = stack.adopt(rawClient(store), (opened) => opened.destroy());
  const [, repository, tag] = /^(.*):([^:/]+)$/.exec(image) ?? [];
  if (repository === undefined || tag === undefined) throw new Error(`image ${image} has no tag`);
  return {
    kubectl: (args, options = {}) =>
      runOrThrow(kubectlPath, [`--kubeconfig=${kubeconfig}`, ...args], {
        ...options,
        name: "kubectl",
        env: { KUBECACHEDIR: cache },
      }),
    store: {
      ...store,
      objects: (prefix) => objectKeys(client, bucket, prefix),
      async object(key) {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        return Buffer.from((await Body?.transformToByteArray()) ?? []);
      },
      async overwrite(key, content) {
        await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: content }));
      },
    },
    etcdImage,
    ownNode,
    async helmUpgrade(values = []) {
      const where = [`--namespace=${operatorNamespace}`, `--kubeconfig=${kubeconfig}`];
      const image = [`image.repository=${repository}`, `image.tag=${tag}`];
      const sets = [...image, `rbac.restoreNamespaces={${labNamespace}}`, ...values];
      const flags = ["--install", "--wait", "--timeout=3m", ...sets.map((set) => `--set=${set}`)];
      await helmOrThrow(["upgrade", release, chartPath, ...where, ...flags]);
    },
  };
}
