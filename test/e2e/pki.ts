import { generateKeyPairSync } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Authority, createAuthority } from "../harness/certificates.ts";

export const nodeName = "node1";
export const nodeAddress = "10.254.0.1";
export const kubernetes = "/etc/kubernetes";
export const pki = `${kubernetes}/pki`;
export const adminKubeconfig = `${kubernetes}/admin.conf`;

/** Writes the certificates, keys and kubeconfigs that the components of this node read, at the paths of kubeadm. */
export async function writePki(): Promise<void> {
  const cluster = await createAuthority("kubernetes");
  const etcd = await createAuthority("etcd-ca");
  const local = [nodeName, "localhost", "127.0.0.1", nodeAddress];
  const service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "10.96.0.1"];

  await write(`${pki}/ca.crt`, cluster.caPem);
  await write(`${pki}/etcd/ca.crt`, etcd.caPem);
  await issue(cluster, `${pki}/apiserver`, "kube-apiserver", [...local, ...service]);
  await issue(
    cluster,
    `${pki}/apiserver-kubelet-client`,
    "kube-apiserver-kubelet-client",
    [],
    "system:masters",
  );
  await issue(etcd, `${pki}/etcd/server`, nodeName, local);
  await issue(etcd, `${pki}/etcd/peer`, nodeName, local);
  await issue(etcd, `${pki}/etcd/healthcheck-client`, "kube-etcd-healthcheck-client", []);
  await issue(etcd, `${pki}/apiserver-etcd-client`, "kube-apiserver-etcd-client", []);
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  await write(`${pki}/sa.key`, String(privateKey.export({ type: "pkcs1", format: "pem" })));
  await write(`${pki}/sa.pub`, String(publicKey.export({ type: "spki", format: "pem" })));

  await kubeconfig(cluster, adminKubeconfig, "kubernetes-admin", "system:masters");
  await kubeconfig(cluster, `${kubernetes}/kubelet.conf`, `system:node:${nodeName}`, "system:nodes");
  for (const name of ["kube-controller-manager", "kube-scheduler", "kube-proxy"])
    await kubeconfig(cluster, `${kubernetes}/${name}.conf`, `system:${name}`);
}

async function issue(
  authority: Authority,
  path: string,
  commonName: string,
  hosts: string[],
  organization?: string,
): Promise<void> {
  const groups = organization === undefined ? {} : { organization };
  const { certPem, keyPem } = await authority.issue({ commonName, hosts, ...groups });
  await write(`${path}.crt`, certPem);
  await write(`${path}.key`, keyPem);
}

async function kubeconfig(
  authority: Authority,
  path: string,
  commonName: string,
  organization?: string,
): Promise<void> {
  const groups = organization === undefined ? {} : { organization };
  const { certPem, keyPem } = await authority.issue({ commonName, ...groups });
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const server = {
    server: `https://${nodeAddress}:6443`,
    "certificate-authority-data": base64(authority.caPem),
  };
  const user = { "client-certificate-data": base64(certPem), "client-key-data": base64(keyPem) };
  const content = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "e2e", cluster: server }],
    users: [{ name: commonName, user }],
    contexts: [{ name: "e2e", context: { cluster: "e2e", user: commonName } }],
    "current-context": "e2e",
  };
  await write(path, JSON.stringify(content));
}

/** Writes a file that only root can read, as kubeadm does. */
export async function write(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content, { mode: 0o600 });
}

export const manifests = join(kubernetes, "manifests");
