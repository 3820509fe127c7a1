import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../../src/api/v1alpha1/etcd-backup-store.ts";
import type { EtcdRestore } from "../../src/api/v1alpha1/etcd-restore.ts";

/** Runs kubectl against one cluster. Returns standard output; a non-zero exit code is an error with standard error. */
export interface Kubectl {
  (args: string[], options?: { input?: string }): Promise<string>;
}

interface WaitOptions {
  namespace?: string;
  seconds?: number;
}

/** A cluster by way of kubectl. Where no namespace is given it is that of `kubeOf`. */
export interface Kube {
  readonly namespace: string;
  /** Server-side apply. */
  apply(...objects: object[]): Promise<void>;
  /** `what` is `kind/name`. */
  get<T>(what: string, namespace?: string): Promise<T>;
  backup(name: string, namespace?: string): Promise<EtcdBackup>;
  store(name: string, namespace?: string): Promise<EtcdBackupStore>;
  restore(name: string, namespace?: string): Promise<EtcdRestore>;
  /** `kubectl wait --for=CONDITION kind/name`. The error of a timeout holds the object. */
  wait(what: string, condition: string, options?: WaitOptions): Promise<void>;
  /** Waits until the condition of this type has this reason. */
  waitReason(what: string, type: string, reason: string, options?: WaitOptions): Promise<void>;
  /** Events about the objects of this name, in the order of their first time. */
  events(name: string, namespace?: string): Promise<KubeEvent[]>;
}

interface KubeEvent {
  type: string;
  reason: string;
  note: string;
}

export interface KubeOptions {
  namespace?: string;
  /** Bound of a wait; 30 when not given. */
  seconds?: number;
  /** Kinds whose objects a failed wait shows, too, such as `pods,jobs`. */
  context?: string;
}

export function kubeOf(kubectl: Kubectl, options: KubeOptions = {}): Kube {
  const { namespace: ownNamespace = "default", seconds: ownSeconds = 30, context } = options;
  const get = async <T>(what: string, namespace = ownNamespace): Promise<T> =>
    JSON.parse(await kubectl(["get", what, "-n", namespace, "-o", "json"])) as T;
  const wait: Kube["wait"] = async (
    what,
    condition,
    { namespace = ownNamespace, seconds = ownSeconds } = {},
  ) => {
    const where = ["-n", namespace];
    await kubectl(["wait", what, ...where, `--for=${condition}`, `--timeout=${seconds}s`]).catch(
      async (error: unknown) => {
        const object = await kubectl(["get", what, ...where, "-o", "yaml"]).catch(String);
        const around = context === undefined ? "" : await kubectl(["get", context, ...where]).catch(String);
        throw new Error(`${what} did not become ${condition}; it is\n${object}\n${around}`, { cause: error });
      },
    );
  };
  return {
    namespace: ownNamespace,
    async apply(...items) {
      const list = { apiVersion: "v1", kind: "List", items };
      await kubectl(["apply", "--server-side", "-f", "-"], { input: JSON.stringify(list) });
    },
    get,
    backup: (name, namespace) => get(`etcdbackup/${name}`, namespace),
    store: (name, namespace) => get(`etcdbackupstore/${name}`, namespace),
    restore: (name, namespace) => get(`etcdrestore/${name}`, namespace),
    wait,
    waitReason: (what, type, reason, waiting) => wait(what, reasonIs(type, reason), waiting),
    async events(name, namespace) {
      const { items } = await get<EventList>("events.events.k8s.io", namespace);
      return items
        .filter(({ regarding }) => regarding.name === name)
        .toSorted((a, b) => String(a.eventTime).localeCompare(String(b.eventTime)))
        .map(({ type, reason, note = "" }) => ({ type, reason, note }));
    },
  };
}

interface EventList {
  items: { type: string; reason: string; note?: string; eventTime?: string; regarding: { name: string } }[];
}

/** A condition of `kubectl wait`. */
function reasonIs(type: string, reason: string): string {
  return `jsonpath={.status.conditions[?(@.type=="${type}")].reason}=${reason}`;
}

/** Merges into the status subresource of an object, as its controller or kubelet would. */
export async function patchStatus(kubectl: Kubectl, what: string, status: object): Promise<void> {
  await kubectl(["patch", what, "--subresource=status", "--type=merge", "-p", JSON.stringify({ status })]);
}
