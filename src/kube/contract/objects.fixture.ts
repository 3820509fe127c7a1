import type { Condition } from "../../api/v1alpha1/conditions.ts";
import { type EtcdBackup, etcdBackupDefinition } from "../../api/v1alpha1/etcd-backup.ts";
import { type EtcdBackupStore, etcdBackupStoreDefinition } from "../../api/v1alpha1/etcd-backup-store.ts";
import { type EtcdRestore, etcdRestoreDefinition } from "../../api/v1alpha1/etcd-restore.ts";
import { applyCall } from "../calls.ts";
import type { KubeClient } from "../client.ts";
import type { RequestOptions } from "../request.ts";
import {
  apiVersionOf,
  customResource,
  type Draft,
  objectKey,
  type KubeObject,
  type ObjectRef,
  pathOf,
  type ResourceKind,
  resourceName,
} from "../objects.ts";

/** An API server with the CRDs of this project, under the client. */
export interface ApiUnderTest extends AsyncDisposable {
  readonly client: KubeClient;
  /** Creates a namespace. No test uses the namespace of another. */
  namespace(): Promise<string>;
}

/** The server of a suite, once it has been opened. */
export type Api = Omit<ApiUnderTest, keyof AsyncDisposable>;

export const backupKind = customResource(etcdBackupDefinition);
export const storeKind = customResource(etcdBackupStoreDefinition);
export const restoreKind = customResource(etcdRestoreDefinition);

export const podKind: ResourceKind<KubeObject> = {
  group: "",
  version: "v1",
  plural: "pods",
  kind: "Pod",
  namespaced: true,
};

const { signal } = new AbortController();
export const call = { signal };

type DraftOf<T extends KubeObject> = (ref: ObjectRef, metadata?: object) => Draft<T>;

/** A draft with only the fields that the schema requires. The types describe objects whose defaults are filled in. */
function minimal<T extends KubeObject & { spec: object }>(spec: object): DraftOf<T> {
  return (ref, metadata = {}) => ({ metadata: { ...metadata, ...ref }, spec }) as unknown as Draft<T>;
}

export const minimalBackup = minimal<EtcdBackup>({
  clusterName: "prod",
  etcd: { endpoints: ["https://10.0.0.11:2379"] },
  storeRef: { name: "s3" },
});

export const minimalStore = minimal<EtcdBackupStore>({ s3: { bucket: "backups" } });

export const minimalRestore = minimal<EtcdRestore>({
  source: { store: { storeRef: { name: "s3" }, clusterName: "prod" } },
  target: {
    cluster: { name: "prod", image: "registry.k8s.io/etcd:3.6.5", storage: { size: "8Gi" } },
  },
});

export function condition(type: string, reason: string): Condition {
  return {
    type,
    status: "True",
    observedGeneration: 1,
    lastTransitionTime: "2026-08-20T12:00:00Z",
    reason,
    message: "",
  };
}

/** Writes as another field manager than the client's own. */
export async function mergePatchAs(
  client: KubeClient,
  manager: string,
  { kind, ref, patch, subresource }: PatchTarget,
): Promise<void> {
  await client.request(
    {
      verb: "patch",
      resource: resourceName(kind),
      of: objectKey(ref),
      method: "PATCH",
      path: pathOf(kind, ref, subresource),
      query: { fieldManager: manager },
      contentType: "application/merge-patch+json",
      body: patch,
      repeatable: false,
    },
    call,
  );
}

interface PatchTarget {
  kind: ResourceKind<KubeObject>;
  ref: ObjectRef;
  patch: object;
  subresource?: "status";
}

/** The object as the server holds it. Throws when it is not there. */
export async function existing<T extends KubeObject>(
  client: KubeClient,
  kind: ResourceKind<T>,
  ref: ObjectRef,
): Promise<T> {
  const object = await client.get(kind, ref, call);
  if (object === undefined) throw new Error(`${kind.kind} ${objectKey(ref)} is not there`);
  return object;
}

/** Server-side apply of an object as the client's own field manager. */
export async function applied<T extends KubeObject>(
  client: Pick<KubeClient, "request">,
  kind: ResourceKind<T>,
  draft: Draft<T>,
  options: RequestOptions,
): Promise<T> {
  return (await client.request(applyCall(kind, draft.metadata, draft), options)) as T;
}

/** Applies the status as that manager. Never repeated: after an answer of 500 that would take seconds. */
export async function applyStatusAs(
  api: Api,
  fieldManager: string,
  ref: ObjectRef,
  status: object,
): Promise<void> {
  await api.client.request(
    {
      verb: "patch",
      resource: resourceName(backupKind),
      method: "PATCH",
      path: pathOf(backupKind, ref, "status"),
      query: { fieldManager, force: "true" },
      contentType: "application/apply-patch+yaml",
      body: { apiVersion: apiVersionOf(backupKind), kind: backupKind.kind, metadata: ref, status },
      repeatable: false,
    },
    call,
  );
}

/** A new EtcdBackup in a namespace of its own. */
export async function createBackup(api: Api) {
  const ref = { namespace: await api.namespace(), name: "a" };
  const created = await api.client.create(backupKind, minimalBackup(ref), call);
  return { ref, created, uid: created.metadata.uid };
}
