import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { type ApiServer, startApiServer } from "../../harness/api-server.ts";
import { etcdBackup } from "../../harness/etcd-backup.ts";
import { chartPath, helm, helmLint, helmOrThrow, helmTemplate } from "../../harness/helm.ts";
import { run } from "../../harness/process.ts";
import { operatorRules } from "../../support/operator-rules.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const release = { name: "etcd-backup-operator", namespace: "kube-system" };

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
  resourceNames?: string[];
}
interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: object };
  rules?: Rule[];
  spec?: Record<string, unknown>;
}

const manifests = (text: string): Manifest[] =>
  parseAllDocuments(text).flatMap((document) =>
    document.contents === null ? [] : [document.toJS() as Manifest],
  );
/** Rendered manifests, by the values. */
const cache = new Map<string, Promise<Manifest[]>>();
const rendered = (values: object = {}): Promise<Manifest[]> => {
  const key = JSON.stringify(values);
  const result = cache.get(key) ?? helmTemplate(release, values).then(manifests);
  cache.set(key, result);
  return result;
};

/** Values that users set; each preset changes what is rendered. */
const presets: Record<string, object> = {
  "nothing set": {},
  "the kubeadm preset": { kubeadm: { enabled: true } },
  "the kubeadm preset, open to Prometheus": {
    kubeadm: { enabled: true, listenAddress: "::", listenPort: 9999 },
  },
  "two replicas": { replicas: 2, priorityClassName: "system-cluster-critical" },
  "some namespaces": { watchNamespaces: ["a", "b"], rbac: { discoveryNamespaces: ["kube-system"] } },
  "Secrets of one namespace": { rbac: { secretNamespaces: ["a"] } },
  "restores in two namespaces": { rbac: { restoreNamespaces: ["a", "b"] } },
  "restores everywhere": { rbac: { restoreNamespaces: ["*"] } },
  "no restores": { rbac: { restores: false } },
  "no roles": { rbac: { create: false }, serviceAccount: { create: false, name: "mine" } },
  "no definitions": { crds: { enabled: false } },
  "no metrics": { metrics: { service: { enabled: false } } },
  "an image by digest": { image: { repository: "r.example/o", digest: `sha256:${"a".repeat(64)}` } },
  "everything extra": {
    ambientCredentialsNamespaces: ["a", "*"],
    ambientCredentialsEndpoints: ["https://minio.example.com:9000"],
    crossNamespaceEtcdNamespaces: ["a"],
    loopbackNamespaces: ["a"],
    extraArgs: ["--lease-duration=60"],
    extraEnv: [{ name: "AWS_REGION", value: "eu-1" }],
    extraVolumes: [{ name: "backups", emptyDir: {} }],
    extraVolumeMounts: [{ name: "backups", mountPath: "/backups" }],
    commonLabels: { team: "a" },
    extraObjects: [{ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "{{ .Release.Name }}-x" } }],
  },
};

interface Container {
  image: string;
  args: string[];
  env: { name: string; value?: string }[];
  securityContext: object;
}
function podOf(objects: readonly Manifest[]) {
  const deployment = objects.find(({ kind }) => kind === "Deployment");
  const template = deployment?.spec?.["template"] as {
    spec: Record<string, unknown> & { containers: Container[] };
  };
  const [container] = template.spec.containers;
  assert.ok(container);
  return { ...template.spec, container } as Record<string, unknown> & { container: Container };
}

/** Rights of a role, one line for each verb on each resource. */
function granted(rules: readonly Rule[]): string[] {
  return rules
    .flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) => resources.flatMap((on) => verbs.map((verb) => `${verb} ${group}/${on}`))),
    )
    .toSorted();
}
const operatorRoles = (objects: readonly Manifest[]): Manifest[] =>
  objects.filter(
    ({ kind, metadata: { name } }) => /^(Cluster)?Role$/.test(kind) && !/-(view|edit|restore)$/.test(name),
  );

describe("the chart", { concurrency: true }, () => {
  for (const [what, values] of Object.entries(presets))
    it(`with ${what} passes lint, and grants nothing by a wildcard`, async () => {
      const sets = Object.entries(values).flatMap(([key, value]) => [
        "--set-json",
        `${key}=${JSON.stringify(value)}`,
      ]);
      const { code, stdout, stderr } = await helmLint(sets);
      assert.equal(code, 0, stdout + stderr);
      for (const { rules = [], metadata } of await rendered(values))
        for (const rule of rules)
          assert.ok(![rule.apiGroups, rule.resources, rule.verbs].flat().includes("*"), metadata.name);
    });

  it("grants exactly the rights with which the operator's tests run", async () => {
    const rights = new Set(granted(operatorRoles(await rendered()).flatMap(({ rules = [] }) => rules)));
    assert.deepEqual([...rights].toSorted(), granted(operatorRules));
  });

  it("grants fewer rights where the values narrow them", async () => {
    const rights = async (values: object) =>
      operatorRoles(await rendered(values)).map(({ kind, metadata, rules = [] }) => ({
        where: kind === "ClusterRole" ? "everywhere" : metadata.namespace,
        rights: granted(rules),
      }));
    const without = (await rights({ rbac: { restores: false } })).flatMap((role) => role.rights);
    assert.ok(
      !without.some((right) => right.startsWith("create") && !/leases|events|etcdbackups$/.test(right)),
      without.join(),
    );
    const narrowed = await rights({ rbac: { secretNamespaces: ["a"] } });
    const reading = narrowed.filter((role) => role.rights.includes("get /secrets"));
    assert.deepEqual(reading, [{ where: "a", rights: ["get /secrets"] }]);
    const some = await rights({
      watchNamespaces: ["a", "b"],
      rbac: { discoveryNamespaces: ["kube-system"] },
    });
    assert.deepEqual(some.map(({ where }) => where).toSorted(), [
      ...["a", "a", "b", "b"],
      ...["kube-system", "kube-system"],
    ]);
  });

  it("grants the creation of Jobs and StatefulSets in the named namespaces only", async () => {
    const creating = async (values: object) =>
      operatorRoles(await rendered(values))
        .filter(({ rules = [] }) => /create (batch|apps)/.test(granted(rules).join()))
        .map(({ kind, metadata }) => (kind === "ClusterRole" ? "everywhere" : metadata.namespace));
    assert.deepEqual(await creating({}), ["kube-system"]);
    assert.deepEqual(await creating({ watchNamespaces: ["a", "b"] }), ["a", "b"]);
    assert.deepEqual(await creating({ rbac: { restoreNamespaces: ["a", "b"] } }), ["a", "b"]);
    assert.deepEqual(await creating({ rbac: { restoreNamespaces: ["*"] } }), ["everywhere"]);
    assert.deepEqual(await creating({ rbac: { restores: false, restoreNamespaces: ["a"] } }), []);
  });

  it("lets editors create backups, and only those with the restore role create restores", async () => {
    const roles = (await rendered()).filter(
      ({ kind, metadata }) => kind === "ClusterRole" && /-(edit|restore)$/.test(metadata.name),
    );
    const [edit, restore] = roles;
    assert.ok(edit?.metadata.labels?.["rbac.authorization.k8s.io/aggregate-to-edit"]);
    assert.ok(!granted(edit?.rules ?? []).some((right) => right.includes("etcdrestores")));
    assert.ok(granted(restore?.rules ?? []).includes("create etcdbackup.dev/etcdrestores"));
    assert.deepEqual(
      Object.keys(restore?.metadata.labels ?? {}).filter((key) => key.includes("aggregate")),
      [],
    );
  });

  it("uses one image for the operator and for the Jobs of a restore", async () => {
    const imageOf = async (image: object) => {
      const { container } = podOf(await rendered({ image }));
      assert.equal(container.env.find(({ name }) => name === "OPERATOR_IMAGE")?.value, container.image);
      return container.image;
    };
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
    assert.equal(await imageOf({}), `etcd-backup-operator:${version}`);
    assert.equal(await imageOf({ repository: "r.example:5000/o", tag: "7" }), "r.example:5000/o:7");
    const digest = `sha256:${"a".repeat(64)}`;
    assert.equal(await imageOf({ repository: "r.example/o", tag: "7", digest }), `r.example/o@${digest}`);
  });

  it("needs no privilege, except that the kubeadm preset takes root, the host network and a hostPath", async () => {
    const usual = podOf(await rendered());
    assert.partialDeepStrictEqual(usual, {
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
    });
    assert.deepEqual([usual["hostNetwork"], usual["volumes"]], [undefined, undefined]);
    const kubeadm = podOf(await rendered({ kubeadm: { enabled: true } }));
    assert.partialDeepStrictEqual(kubeadm, {
      hostNetwork: true,
      dnsPolicy: "ClusterFirstWithHostNet",
      nodeSelector: { "node-role.kubernetes.io/control-plane": "" },
      securityContext: { runAsUser: 0 },
      volumes: [{ name: "etcd-pki", hostPath: { path: "/etc/kubernetes/pki/etcd", type: "Directory" } }],
    });
    for (const { container } of [usual, kubeadm])
      assert.deepEqual(container.securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
  });

  for (const [what, values] of Object.entries(presets))
    it(`with ${what} passes flags that the operator accepts`, async () => {
      const { container } = podOf(await rendered(values));
      const { code, stderr } = await etcdBackup([...container.args, "--kubeconfig=/nowhere"], {
        POD_NAMESPACE: "x",
      });
      assert.notEqual(code, 0);
      assert.match(stderr, /\/nowhere/);
    });

  it("refuses unknown and invalid values and names them", async () => {
    const rows: [values: object, message: RegExp][] = [
      [{ replica: 2 }, /replica/],
      [{ image: { repo: "x" } }, /image.*repo/s],
      [{ replicas: -1 }, /replicas/],
      [{ replicas: "two" }, /replicas/],
      [{ image: { digest: "latest" } }, /digest/],
      [{ image: { pullPolicy: "Sometimes" } }, /pullPolicy/],
      [{ logLevel: "verbose" }, /logLevel/],
      [{ port: 70000 }, /port/],
      [{ watchNamespaces: ["Prod"] }, /watchNamespaces/],
      [{ leaderElection: { leaseDuration: 1 } }, /leaseDuration/],
      [{ maxConcurrentBackups: 0 }, /maxConcurrentBackups/],
      [{ resources: { limits: { memory: "lots" } } }, /memory/],
      [{ kubeadm: { pkiPath: "pki" } }, /pkiPath/],
      [{ extraEnv: [{ name: "OPERATOR_IMAGE", value: "x" }] }, /OPERATOR_IMAGE is set by the chart/],
    ];
    for (const [values, message] of rows)
      await assert.rejects(
        rendered(values),
        (error: Error) => message.test(error.message),
        JSON.stringify(values),
      );
  });

  it("contains the definitions of crds/ with a resource policy that keeps them on uninstall", async () => {
    const inChart = (await rendered()).filter(({ kind }) => kind === "CustomResourceDefinition");
    const files = (await readdir(join(root, "crds"))).toSorted();
    const originals = await Promise.all(
      files.map(async (name) => parse(await readFile(join(root, "crds", name), "utf8")) as Manifest),
    );
    assert.deepEqual(
      inChart.map(({ spec, metadata }) => ({ name: metadata.name, spec })),
      originals.map(({ spec, metadata }) => ({ name: metadata.name, spec })),
    );
    for (const { metadata } of inChart)
      assert.deepEqual(metadata.annotations, { "helm.sh/resource-policy": "keep" });
    assert.ok(!(await rendered({ crds: { enabled: false } })).some(({ kind }) => kind.startsWith("Custom")));
  });

  it("is the source of the manifests in deploy/", async () => {
    const { code, stderr } = await run(process.execPath, [join(root, "scripts/deploy.ts"), "--check"]);
    assert.equal(code, 0, stderr);
  });
});

describe("the chart on an API server", { concurrency: false }, () => {
  let api: ApiServer;
  before(async () => {
    api = await startApiServer();
  });
  after(() => api[Symbol.asyncDispose]());
  const where = () => [`--namespace=${release.namespace}`, `--kubeconfig=${api.kubeconfigPath}`];
  const kinds = "deployments,serviceaccounts,services,roles,rolebindings";
  const installed = async () =>
    (
      await api.kubectl([
        "get",
        kinds,
        "-n",
        release.namespace,
        "-l",
        `app.kubernetes.io/instance=${release.name}`,
        "-o",
        "name",
      ])
    )
      .trim()
      .split("\n")
      .filter((line) => line !== "");

  it("is installed, upgraded to the kubeadm preset, and uninstalled without the definitions", async () => {
    await helmOrThrow(["install", release.name, chartPath, ...where()]);
    assert.ok((await installed()).includes("deployment.apps/etcd-backup-operator"));
    await api.kubectl([
      "wait",
      "--for=condition=Established",
      "crd/etcdrestores.etcdbackup.dev",
      "--timeout=30s",
    ]);
    await helmOrThrow(["upgrade", release.name, chartPath, ...where(), "--set=kubeadm.enabled=true"]);
    assert.ok(
      !(await installed()).includes("service/etcd-backup-operator-metrics"),
      "no Service can reach a loopback address",
    );
    await helmOrThrow(["uninstall", release.name, ...where()]);
    assert.deepEqual(await installed(), []);
    const kept = await api.kubectl(["get", "crd", "-o", "name"]);
    assert.equal(kept.match(/etcdbackup\.dev/g)?.length, 4);
  });

  it("renders manifests that the server accepts with every preset", async () => {
    await api.kubectl(["create", "namespace", "a"]);
    await api.kubectl(["create", "namespace", "b"]);
    for (const [what, values] of Object.entries(presets)) {
      const input = await helmTemplate(release, values);
      const args = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--validate=strict",
        "-f",
        "-",
      ];
      await api.kubectl(args, { input }).catch((error: unknown) => {
        throw new Error(`with ${what}`, { cause: error });
      });
    }
  });

  it("prints notes with manifests that the server accepts", async () => {
    for (const values of [[], ["--set=kubeadm.enabled=true"]]) {
      const { code, stdout, stderr } = await helm([
        "install",
        "notes",
        chartPath,
        ...where(),
        "--dry-run=server",
        "--set=crds.enabled=false",
        ...values,
      ]);
      assert.equal(code, 0, stderr);
      const notes = stdout.slice(stdout.indexOf("NOTES:"));
      const examples = [...notes.matchAll(/<<'END'\n([^]*?)\n +END\n/g)].map(([, text = ""]) =>
        text.replaceAll(/^ {3}/gm, ""),
      );
      assert.equal(examples.length, 2, notes);
      for (const input of examples)
        await api.kubectl(["apply", "--dry-run=server", "--validate=strict", "-f", "-"], { input });
    }
  });

  it("is not needed for deploy/ and deploy/kubeadm, which kubectl applies", async () => {
    for (const [path, namespace] of [
      ["deploy", "etcd-backup-operator"],
      ["deploy/kubeadm", "kube-system"],
    ] as const) {
      await api.kubectl(["apply", "--server-side", "--force-conflicts", "-k", join(root, path)]);
      const image = "jsonpath={.spec.template.spec.containers[0].image}";
      const found = await api.kubectl([
        "get",
        "deployment/etcd-backup-operator",
        "-n",
        namespace,
        "-o",
        image,
      ]);
      assert.match(found, /^etcd-backup-operator:/);
    }
  });
});
