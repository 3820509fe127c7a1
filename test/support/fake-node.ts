import type { Kube, Kubectl } from "./kube.ts";
import { patchStatus } from "./kube.ts";

/**
 * Writes the statuses that the controllers of Jobs and StatefulSets and a kubelet would write: an API server alone has
 * none of them. The end-to-end tests have the real ones.
 */
export interface FakeNode {
  jobSucceeds(name: string): Promise<void>;
  /** A Pod of the Job failed: a container exited with this termination message. */
  jobFails(name: string, exit: { container: string; exitCode: number; message: string }): Promise<void>;
  /** A Pod of the Job does not start. */
  jobHangs(name: string, waiting: { container: string; reason: string; message: string }): Promise<void>;
  /** Pods of the StatefulSet run at these addresses and are ready. */
  membersReady(cluster: string, addresses: readonly string[]): Promise<void>;
}

export function fakeNode(kubectl: Kubectl, kube: Kube): FakeNode {
  const startTime = new Date(Date.now() - 1000).toISOString().replace(/\.\d+Z$/, "Z");
  async function pod(name: string, labels: object, status: object): Promise<void> {
    const spec = { containers: [{ name: "any", image: "none" }], automountServiceAccountToken: false };
    const metadata = { name, namespace: kube.namespace, labels };
    await kube.apply({ apiVersion: "v1", kind: "Pod", metadata, spec });
    await patchStatus(kubectl, `pod/${name}`, status);
  }
  return {
    async jobSucceeds(name) {
      await patchStatus(kubectl, `job/${name}`, { startTime, succeeded: 1 });
    },
    async jobFails(name, { container, exitCode, message }) {
      const terminated = { exitCode, message, reason: "Error" };
      const initContainerStatuses = [containerStatus(container, { terminated })];
      await pod(`${name}-pod`, { "job-name": name }, { phase: "Failed", initContainerStatuses });
      await patchStatus(kubectl, `job/${name}`, { startTime, failed: 1 });
    },
    async jobHangs(name, { container, reason, message }) {
      const initContainerStatuses = [containerStatus(container, { waiting: { reason, message } })];
      await pod(`${name}-pod`, { "job-name": name }, { phase: "Pending", initContainerStatuses });
      await patchStatus(kubectl, `job/${name}`, { startTime, active: 1 });
    },
    async membersReady(cluster, addresses) {
      const set = await kube.get<StatefulSet>(`statefulset/${cluster}`);
      for (const [index, podIP] of addresses.entries()) {
        await pod(`${cluster}-${index}`, set.spec.template.metadata.labels, {
          phase: "Running",
          podIP,
          podIPs: [{ ip: podIP }],
          conditions: [{ type: "Ready", status: "True" }],
        });
      }
      const replicas = addresses.length;
      const counts = { replicas, readyReplicas: replicas, availableReplicas: replicas };
      await patchStatus(kubectl, `statefulset/${cluster}`, counts);
    },
  };
}

interface StatefulSet {
  spec: { template: { metadata: { labels: object } } };
}

function containerStatus(name: string, state: object): object {
  return { name, image: "none", imageID: "", ready: false, restartCount: 0, state };
}
