import { mkdir } from "node:fs/promises";
import { binary } from "../harness/binaries.ts";
import { type RunningProcess, run, runOrThrow, startProcess } from "../harness/process.ts";
import { untilReady } from "../harness/ready.ts";
import { addons } from "./addons.ts";
import { cgroupRoot, makeCgroups } from "./cgroups.ts";
import { writeControlPlane } from "./control-plane.ts";
import { imageFiles, images } from "./images.ts";
import {
  adminKubeconfig,
  kubernetes,
  manifests,
  nodeAddress,
  nodeName,
  pki,
  write,
  writePki,
} from "./pki.ts";

export interface KubernetesNode extends AsyncDisposable {
  readonly kubeconfigPath: string;
  /** The address at which Pods reach servers of the node. */
  readonly address: string;
}

const containerd = "/run/containerd/containerd.sock";

/**
 * A Kubernetes node as kubeadm sets it up: containerd, kubelet and kube-proxy as processes, the control plane as static
 * Pods, CoreDNS, volumes. It writes to /etc, /run, /var/lib and /var/log and needs a network namespace of its own:
 * namespaces.sh provides these.
 */
export async function startNode(imagesDirectory: string): Promise<KubernetesNode> {
  await using stack = new AsyncDisposableStack();
  const start = async (name: string, path: string, args: string[]): Promise<RunningProcess> => {
    const process = startProcess(path, args, { name });
    stack.defer(async () => process.stop());
    return process;
  };
  await writePki();
  await writeConfiguration();
  await makeCgroups();

  const runtime = await start("containerd", "containerd", []);
  await untilReady("containerd", runtime, async () => (await run("ctr", ["version"])).code === 0);
  for (const path of await imageFiles(imagesDirectory))
    await runOrThrow("ctr", ["--namespace=k8s.io", "images", "import", path]);

  await writeControlPlane();
  const kubelet = await start("kubelet", await binary("kubelet"), [
    `--config=${kubernetes}/kubelet.yaml`,
    `--kubeconfig=${kubernetes}/kubelet.conf`,
    `--hostname-override=${nodeName}`,
    `--node-ip=${nodeAddress}`,
  ]);
  const kubectlPath = await binary("kubectl");
  const kubectl = (args: string[], input?: string) =>
    run(kubectlPath, [`--kubeconfig=${adminKubeconfig}`, ...args], {
      env: { KUBECACHEDIR: "/run/kubectl-cache" },
      ...(input === undefined ? {} : { input }),
    });
  const answers = async (args: string[]): Promise<boolean> => (await kubectl(args)).code === 0;
  await untilReady("kubelet", kubelet, () => answers(["get", "--raw", "/readyz"]), 180_000);
  await untilReady("kubelet", kubelet, () => answers(["get", `node/${nodeName}`]), 60_000);
  const proxy = await start("kube-proxy", await binary("kube-proxy"), [
    `--config=${kubernetes}/kube-proxy.yaml`,
    `--hostname-override=${nodeName}`,
  ]);
  const manage = async (args: string[], input?: string): Promise<void> => {
    const { code, stderr } = await kubectl(args, input);
    if (code !== 0)
      throw new Error(`kubectl ${args.join(" ")}: ${stderr}\n${kubelet.output()}\n${proxy.output()}`);
  };
  await manage(["label", "node", nodeName, "node-role.kubernetes.io/control-plane="]);
  await manage(["apply", "--server-side", "-f", "-"], JSON.stringify(await addons()));
  await manage(["wait", `node/${nodeName}`, "--for=condition=Ready", "--timeout=90s"]);
  await manage([
    "wait",
    "deployment/coredns",
    "-n=kube-system",
    "--for=condition=Available",
    "--timeout=120s",
  ]);

  const started = stack.move();
  return {
    kubeconfigPath: adminKubeconfig,
    address: nodeAddress,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

async function writeConfiguration(): Promise<void> {
  await write(
    "/etc/containerd/config.toml",
    `version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${images.busybox}"
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
`,
  );
  // Packets between Pods go through the host (ptp), so that Services work without the netfilter of a bridge.
  const plugins = [
    {
      type: "ptp",
      ipMasq: true,
      ipam: { type: "host-local", ranges: [[{ subnet: "10.244.0.0/24" }]], routes: [{ dst: "0.0.0.0/0" }] },
    },
    { type: "portmap", capabilities: { portMappings: true } },
  ];
  await write(
    "/etc/cni/net.d/10-pods.conflist",
    JSON.stringify({ cniVersion: "1.0.0", name: "pods", plugins }),
  );
  await mkdir(manifests, { recursive: true });
  await writeKubeletConfiguration();
  await writeKubeProxyConfiguration();
}

async function writeKubeletConfiguration(): Promise<void> {
  const kubelet = {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${pki}/ca.crt` },
    },
    authorization: { mode: "Webhook" },
    cgroupDriver: "cgroupfs",
    cgroupRoot,
    clusterDNS: ["10.96.0.10"],
    clusterDomain: "cluster.local",
    containerRuntimeEndpoint: `unix://${containerd}`,
    enforceNodeAllocatable: [],
    evictionHard: { "memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
    failCgroupV1: false,
    failSwapOn: false,
    imageGCHighThresholdPercent: 100,
    localStorageCapacityIsolation: false,
    resolvConf: "",
    staticPodPath: manifests,
    syncFrequency: "10s",
    volumePluginDir: "/var/lib/kubelet/volume-plugins",
  };
  await write(`${kubernetes}/kubelet.yaml`, JSON.stringify(kubelet));
}

async function writeKubeProxyConfiguration(): Promise<void> {
  // The limits of connection tracking belong to the host and cannot be set in a namespace.
  const conntrack = { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" };
  const proxy = {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    clientConnection: { kubeconfig: `${kubernetes}/kube-proxy.conf` },
    clusterCIDR: "10.244.0.0/24",
    conntrack,
    mode: "nftables",
  };
  await write(`${kubernetes}/kube-proxy.yaml`, JSON.stringify(proxy));
}
