import type { ApiServer } from "../harness/api-server.ts";

/**
 * Stands in for what an API server alone does not have: the controllers of Jobs and StatefulSets, and a kubelet. It
 * only writes the statuses that they would write; the real ones are in the end-to-end tests.
 */
export interface PlayedNode {
  jobSucceeds(name: string): Promise<void>;
  /** Its Pod ended with these words of a container. */
  jobFails(name: string, end: { container: string; exitCode: number; words: string }): Promise<void>;
  /** A Pod of the Job that does not start. */
  jobHangs(name: string, waiting: { container: string; reason: string; message: string }): Promise<void>;
  /** Pods of the StatefulSet run at these addresses, and are ready. */
  membersReady(cluster: string, addresses: readonly string[]): Promise<void>;
}

export function playNode(api: ApiServer): PlayedNode {
  const patchStatus = (what: string, status: object) =>
    api.kubectl(["patch", what, "--subresource=status", "--type=merge", "-p", JSON.stringify({ status })]);
  const startTime = new Date(Date.now() - 1000).toISOString().replace(/\.\d+Z$/, "Z");
  async function pod(name: string, labels: object, status: object): Promise<void> {
    const manifest = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, labels },
      spec: { containers: [{ name: "any", image: "none" }], automountServiceAccountToken: false },
    };
    await api.kubectl(["apply", "--server-side", "-f", "-"], { input: JSON.stringify(manifest) });
    await patchStatus(`pod/${name}`, status);
  }
  const ended = ({ container, exitCode, words }: { container: string; exitCode: number; words: string }) => ({
    name: container,
    image: "none",
    imageID: "",
    ready: false,
    restartCount: 0,
    state: { terminated: { exitCode, message: words, reason: "Error" } },
  });
  return {
    async jobSucceeds(name) {
      await patchStatus(`job/${name}`, { startTime, succeeded: 1 });
    },
    async jobFails(name, end) {
      const status = { phase: "Failed", initContainerStatuses: [ended(end)] };
      await pod(`${name}-pod`, { "job-name": name }, status);
      await patchStatus(`job/${name}`, { startTime, failed: 1 });
    },
    async jobHangs(name, { container, reason, message }) {
      const waiting = {
        ...ended({ container, exitCode: 0, words: "" }),
        state: { waiting: { reason, message } },
      };
      await pod(`${name}-pod`, { "job-name": name }, { phase: "Pending", initContainerStatuses: [waiting] });
      await patchStatus(`job/${name}`, { startTime, active: 1 });
    },
    async membersReady(cluster, addresses) {
      const set = JSON.parse(await api.kubectl(["get", "statefulset", cluster, "-o", "json"])) as {
        spec: { template: { metadata: { labels: object } } };
      };
      for (const [index, podIP] of addresses.entries()) {
        await pod(`${cluster}-${index}`, set.spec.template.metadata.labels, {
          phase: "Running",
          podIP,
          podIPs: [{ ip: podIP }],
          conditions: [{ type: "Ready", status: "True" }],
        });
      }
      const replicas = addresses.length;
      await patchStatus(`statefulset/${cluster}`, {
        replicas,
        readyReplicas: replicas,
        availableReplicas: replicas,
      });
    },
  };
}
