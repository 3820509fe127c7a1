import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import type { JobStore } from "../../core/store/job-store.ts";
import { parseInitialCluster } from "../initial-cluster.ts";
import type { JobBlueprint, RestoreObject } from "./blueprint.ts";
import { memberJob } from "./job.ts";
import { connectionTo, targetVersion } from "../../core/restore/names.ts";
import { clientService, disruptionBudget, peerService, statefulSet, volumeClaim } from "./cluster.ts";
import { restoreOf, restoreUid, restoredSource } from "../../core/restore/restore.fixture.ts";

const keys = { secret: "keys", optional: false };
const store: JobStore = {
  flags: ["--store", "s3://etcd/deep", "--store-ca", "/ca/ca.crt"],
  variables: { HTTPS_PROXY: "http://proxy:3128/$(HOME)$" },
  secretVariables: [
    { name: "KEY_ID", ...keys },
    { name: "TOKEN", ...keys, optional: true },
  ],
  mounts: [{ name: "store-ca", path: "/ca", volume: { secret: { secretName: "ca" } } }],
};

function blueprint(restore: EtcdRestore = restoreOf(), over: Partial<JobBlueprint> = {}): JobBlueprint {
  return {
    restore,
    store,
    source: restoredSource,
    token: "fresh",
    operatorImage: "operator:1",
    ...over,
  };
}

interface Container {
  name: string;
  image: string;
  command?: string[];
  args?: string[];
  env?: object[];
  volumeMounts: { name: string; mountPath: string }[];
}
interface PodTemplate {
  metadata: { labels: Record<string, string> };
  spec: Record<string, unknown> & {
    initContainers?: Container[];
    containers: Container[];
    volumes: { name: string }[];
  };
}
const podOf = ({ spec }: RestoreObject) => spec["template"] as PodTemplate;
const all = (made: JobBlueprint): RestoreObject[] => [
  volumeClaim(made, 0),
  memberJob(made, 0, 1),
  peerService(made),
  clientService(made),
  disruptionBudget(made),
  statefulSet(made),
];

describe("the objects of a restore", () => {
  it("have the restore's label and namespace", () => {
    for (const { metadata } of all(blueprint())) {
      assert.equal(metadata.namespace, "ns");
      assert.equal(metadata.labels["etcdbackup.dev/restore"], restoreUid);
    }
  });

  it("have no owner except the Jobs, so deleting the EtcdRestore keeps the volumes and the cluster", () => {
    const owned = all(blueprint()).filter(({ metadata }) => metadata.ownerReferences !== undefined);
    assert.deepEqual(
      owned.map(({ metadata }) => metadata.name),
      ["back-0-restore-1"],
    );
    const { apiVersion, kind, metadata } = restoreOf();
    const owner = { apiVersion, kind, name: metadata.name, uid: restoreUid, controller: true };
    assert.deepEqual(owned[0]?.metadata.ownerReferences, [owner]);
    assert.deepEqual(statefulSet(blueprint()).spec["persistentVolumeClaimRetentionPolicy"], {
      whenDeleted: "Retain",
      whenScaled: "Retain",
    });
  });

  it("have claims whose names match in the Jobs and in the StatefulSet", () => {
    const made = blueprint();
    const [claim] = statefulSet(made).spec["volumeClaimTemplates"] as { metadata: { name: string } }[];
    const podName = `${statefulSet(made).metadata.name}-1`;
    assert.equal(`${claim?.metadata.name}-${podName}`, volumeClaim(made, 1).metadata.name);
    const job = podOf(memberJob(made, 1, 1)).spec.volumes.find(({ name }) => name === "data");
    assert.partialDeepStrictEqual(job, { persistentVolumeClaim: { claimName: `data-${podName}` } });
  });

  it("have the same names and peer URLs in the Job's restore and in etcd's flags", () => {
    for (const tls of [undefined, { peer: { name: "peer" }, client: { name: "client" } }]) {
      const made = blueprint(restoreOf({ cluster: tls === undefined ? {} : { tls } }));
      const [etcd] = podOf(statefulSet(made)).spec.containers;
      const flag = (name: string) =>
        etcd?.command?.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3);
      const initialCluster = parseInitialCluster(flag("initial-cluster") ?? "");
      for (const [index, { name, peerUrls }] of initialCluster.entries()) {
        const restore = podOf(memberJob(made, index, 1)).spec.initContainers?.[1]?.command ?? [];
        assert.deepEqual(restore.slice(0, 3), ["etcdutl", "snapshot", "restore"]);
        for (const word of [
          `--name=${name}`,
          `--initial-advertise-peer-urls=${peerUrls.join()}`,
          `--initial-cluster=${flag("initial-cluster")}`,
          "--initial-cluster-token=fresh",
          "--bump-revision=1000000000",
        ])
          assert.ok(restore.includes(word), `${word} is not in ${restore.join(" ")}`);
        assert.equal(flag("initial-advertise-peer-urls")?.replace("$(POD_NAME)", name), peerUrls[0]);
      }
      assert.equal(initialCluster.length, 3);
      assert.equal(flag("initial-cluster-token"), "fresh");
      assert.equal(flag("data-dir"), "/var/lib/etcd/data");
      assert.equal(flag("initial-cluster-state"), "existing");
    }
  });

  it("have Services that select the members' Pods, and not those of the Jobs", () => {
    const made = blueprint();
    const matches = (selector: unknown, { metadata }: PodTemplate) =>
      Object.entries(selector as Record<string, string>).every(
        ([key, value]) => metadata.labels[key] === value,
      );
    for (const service of [peerService(made), clientService(made)]) {
      assert.equal(matches(service.spec["selector"], podOf(statefulSet(made))), true);
      assert.equal(matches(service.spec["selector"], podOf(memberJob(made, 0, 1))), false);
    }
    const template = { labels: { "app.kubernetes.io/component": "mine", team: "a" } };
    const own = blueprint(restoreOf({ cluster: { podTemplate: template } }));
    assert.equal(matches(clientService(own).spec["selector"], podOf(statefulSet(own))), true);
    assert.equal(podOf(statefulSet(own)).metadata.labels["team"], "a");
  });

  it("allow a drain of as many members as the quorum can lose", () => {
    const least = [1, 3, 5, 7].map(
      (replicas) => disruptionBudget(blueprint(restoreOf({ cluster: { replicas } }))).spec["minAvailable"],
    );
    assert.deepEqual(least, [1, 2, 3, 4]);
  });

  it("read the store in the first container alone, with its flags, and with its credentials by Secret", () => {
    const { spec } = podOf(memberJob(blueprint(), 0, 1));
    const [fetch, restore] = spec.initContainers ?? [];
    const last = ["--sha256", restoredSource.sha256, ...store.flags];
    assert.deepEqual(fetch?.args?.slice(-last.length), last);
    const secretKeyRef = (key: string) => ({ name: "keys", key });
    assert.deepEqual(fetch?.env, [
      { name: "KEY_ID", valueFrom: { secretKeyRef: secretKeyRef("KEY_ID") } },
      { name: "TOKEN", valueFrom: { secretKeyRef: { ...secretKeyRef("TOKEN"), optional: true } } },
      // As Kubernetes reads it: $$ is $.
      { name: "HTTPS_PROXY", value: "http://proxy:3128/$$(HOME)$$" },
    ]);
    assert.deepEqual(restore?.env, [{ name: "ETCDCTL_API", value: "3" }]);
    assert.deepEqual(spec.containers[0]?.env, undefined);
  });

  it("mount what the store needs, without the right to write there", () => {
    const { spec } = podOf(memberJob(blueprint(), 0, 1));
    assert.deepEqual(spec.volumes.slice(1), [{ name: "store-ca", secret: { secretName: "ca" } }]);
    assert.deepEqual(spec.initContainers?.[0]?.volumeMounts.slice(1), [
      { name: "store-ca", mountPath: "/ca", readOnly: true },
    ]);
    assert.equal(spec.containers[0]?.volumeMounts.length, 1);
  });

  it("have Pods without privileges or a token, with the scheduling of the members", () => {
    const nodeSelector = { disk: "ssd" };
    const made = blueprint(restoreOf({ cluster: { podTemplate: { nodeSelector } } }));
    for (const { spec } of [podOf(memberJob(made, 0, 1)), podOf(statefulSet(made))]) {
      assert.partialDeepStrictEqual(spec, {
        nodeSelector,
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
      });
      for (const container of [...(spec.initContainers ?? []), ...spec.containers])
        assert.partialDeepStrictEqual(container, {
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          },
          terminationMessagePolicy: "FallbackToLogsOnError",
        });
    }
  });

  it("restore with the tool of the image's etcd", () => {
    const toolOf = (image: string) =>
      podOf(memberJob(blueprint(restoreOf({ cluster: { image } })), 0, 1)).spec.initContainers?.[1]
        ?.command?.[0];
    assert.deepEqual(["etcd:3.4.37", "etcd:v3.5.35", "etcd:3.6.5-0"].map(toolOf), [
      "etcdctl",
      "etcdutl",
      "etcdutl",
    ]);
  });
});

describe("targetVersion", () => {
  const versionOf = (image: string, etcdVersion?: string) =>
    targetVersion(restoreOf({ cluster: { image, ...(etcdVersion === undefined ? {} : { etcdVersion }) } }));

  it("is spec.target.cluster.etcdVersion, or the version in the image's tag", () => {
    assert.equal(versionOf("registry:5000/etcd:v3.5.35"), "3.5.35");
    assert.equal(versionOf("registry.k8s.io/etcd:3.6.5-0"), "3.6.5");
    assert.equal(versionOf(`etcd:v3.6.16@sha256:${"0".repeat(64)}`), "3.6.16");
    assert.equal(versionOf("etcd:latest", "3.6.16"), "3.6.16");
  });

  it("throws for an image whose tag contains no version", () => {
    for (const image of ["etcd", "etcd:latest", "registry:5000/etcd", `etcd@sha256:${"0".repeat(64)}`])
      assert.throws(() => versionOf(image), /contains no etcd version/, image);
  });
});

describe("connectionTo", () => {
  it("selects the members' Pods, over TLS with the client Secret and the Service's name", () => {
    const restore = restoreOf({ cluster: { tls: { client: { name: "client" } } } });
    const matchLabels = podOf(statefulSet(blueprint(restore))).metadata.labels;
    assert.partialDeepStrictEqual(connectionTo(restore), {
      podSelector: { matchLabels, port: 2379, scheme: "https" },
      tls: { secretRef: { name: "client" }, serverName: "back-client.ns.svc" },
    });
    assert.equal(connectionTo(restoreOf()).podSelector?.scheme, "http");
  });
});
