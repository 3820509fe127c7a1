import { parse, stringify } from "yaml";
import { helmTemplate } from "../test/harness/helm.ts";
import type { Generated } from "./generated-files.ts";

const name = "etcd-backup-operator";
const comment = "# generated from charts/etcd-backup-operator by npm run generate:deploy; do not edit\n";

/** Values for manifests that are applied without Helm: CRDs need no annotation that makes Helm keep them. */
const plain = { crds: { enabled: true, keep: false } };

/**
 * The files of deploy/ except samples and examples: base/ is the rendered chart in a namespace of its own, and kubeadm/
 * patches it to the rendered kubeadm preset in kube-system.
 */
export async function deployManifests(): Promise<Generated> {
  const install = documents(await render(name, plain));
  const kubeadm = documents(await render(name, { ...plain, kubeadm: { enabled: true } }));
  const [deployment = ""] = kubeadm.filter((text) => kindOf(text) === "Deployment");
  const kinds = new Set(kubeadm.map(kindOf));
  const absent = [namespaceObject, ...install.filter((text) => !kinds.has(kindOf(text)))];
  const patches = [{ path: "deployment.yaml", target: { kind: "Deployment" } }, { path: "absent.yaml" }];
  const files = {
    "base/install.yaml": [namespaceObject, ...install].join("---\n"),
    "base/kustomization.yaml": kustomization({ resources: ["install.yaml"] }),
    "kustomization.yaml": kustomization({ resources: ["base"] }),
    "kubeadm/deployment.yaml": stringify([{ op: "replace", path: "/spec", value: parsed(deployment).spec }]),
    "kubeadm/absent.yaml": absent.map(deletion).join("---\n"),
    "kubeadm/kustomization.yaml": kustomization({
      resources: ["../base"],
      namespace: "kube-system",
      patches,
    }),
  };
  return {
    files: new Map(Object.entries(files).map(([path, text]) => [`deploy/${path}`, comment + text])),
    folders: ["deploy/base", "deploy/kubeadm"],
  };
}

const namespaceObject = stringify({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: {
    name,
    labels: {
      "app.kubernetes.io/name": name,
      "pod-security.kubernetes.io/enforce": "restricted",
      "pod-security.kubernetes.io/warn": "restricted",
    },
  },
});

/** Renders the chart without the labels and comments that say that Helm manages the objects. */
async function render(namespace: string, values: object): Promise<string> {
  const text = await helmTemplate({ name, namespace }, values);
  return text.replaceAll(
    /^( *helm\.sh\/chart: .*| *app\.kubernetes\.io\/managed-by: Helm|# Source: .*)\n/gm,
    "",
  );
}

function documents(text: string): string[] {
  const parts = text.split(/^---\n/m).map((part) => part.trim());
  return parts.filter((part) => part !== "").map((part) => `${part}\n`);
}

interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
  spec?: unknown;
}

function parsed(text: string): KubeObject {
  return parse(text) as KubeObject;
}

function kindOf(text: string): string {
  return parsed(text).kind;
}

/** A kustomize patch that removes the object. */
function deletion(text: string): string {
  const { apiVersion, kind, metadata } = parsed(text);
  const { name: objectName, namespace } = metadata;
  return stringify({
    $patch: "delete",
    apiVersion,
    kind,
    metadata: { name: objectName, ...(namespace === undefined ? {} : { namespace }) },
  });
}

function kustomization(content: object): string {
  return stringify({ apiVersion: "kustomize.config.k8s.io/v1beta1", kind: "Kustomization", ...content });
}
