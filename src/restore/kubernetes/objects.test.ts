import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import { OperatorError } from "../../core/errors.ts";
import { parseInitialCluster } from "../initial-cluster.ts";
import type { JobBlueprint, RestoreObject } from "./blueprint.ts";
import { memberJob } from "./job.ts";
import { fileStore } from "./job-store.ts";
import { connectionTo, targetVersion } from "../../core/restore/names.ts";
import { clientService, disruptionBudget, peerService, statefulSet, volumeClaim } from "./cluster.ts";
import { restoreOf, restoreUid, restoredSource } from "../../core/restore/restore.fixture.ts";

const s3 = {
  bucket: "etcd",
  prefix: "deep",
  endpoint: "https://s3.example.com:9000",
  region: "eu-1",
  forcePathStyle: true,
  checksum: "Auto",
  versions: "Keep",
  credentialsSecretRef: { name: "keys" },
  caBundleSecretRef: { name: "ca" },
};
const store = {
  apiVersion: "etcdbackup.dev/v1alpha1",
  kind: "EtcdBackupStore",
  metadata: { name: "s", namespace: "ns", uid: "s", resourceVersion: "1", creationTimestamp: "" },
  spec: { s3, accessMode: "ReadOnly" },
  status: { observedGeneration: 1 },
} as EtcdBackupStore;

function blueprint(restore: EtcdRestore = restoreOf(), over: Partial<JobBlueprint> = {}): JobBlueprint {
  return {
    restore,
    store,
    storeSettings: {},
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

  it("refer to credentials by Secret, and contain none in flags", () => {
    const fetch = podOf(memberJob(blueprint(), 0, 1)).spec.initContainers?.[0];
    assert.deepEqual(
      fetch?.env?.map((entry) => Object.keys(entry).toSorted()),
      [0, 1, 2].map(() => ["name", "valueFrom"]),
    );
    const url = fetch?.args?.find((word) => word.startsWith("s3://")) ?? "";
    assert.match(
      url,
      /^s3:\/\/etcd\/deep\?endpoint=https%3A%2F%2Fs3\.example\.com%3A9000&region=eu-1&pathStyle=true/,
    );
    assert.ok(fetch?.args?.includes(restoredSource.sha256));
    assert.ok(fetch?.volumeMounts.some(({ name }) => name === "store-ca"));
  });

  it("read the store with the checksum of its spec, which older S3-compatible stores need", () => {
    const urlOf = (made: JobBlueprint) =>
      podOf(memberJob(made, 0, 1)).spec.initContainers?.[0]?.args?.find((word) => word.startsWith("s3://"));
    const withMD5 = { ...store, spec: { ...store.spec, s3: { ...s3, checksum: "MD5" } } } as EtcdBackupStore;
    assert.match(urlOf(blueprint(restoreOf(), { store: withMD5 })) ?? "", /&checksum=MD5$/);
    assert.doesNotMatch(urlOf(blueprint()) ?? "", /checksum/);
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

  it("cannot be made for a file store, which no Job can read", () => {
    const inFile = {
      ...store,
      spec: { file: { path: "/backups" }, accessMode: "ReadOnly" },
    } as EtcdBackupStore;
    assert.throws(() => memberJob(blueprint(restoreOf(), { store: inFile }), 0, 1), OperatorError);
    assert.match(fileStore().message, /cannot read a directory of the operator/);
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
