import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { conditionOf, resourceObject } from "../support/custom-resources.ts";
import type { Kube } from "../support/kube.ts";
import { labCluster, newCluster, tlsSecrets } from "./etcd-in-kubernetes.ts";
import { labNamespace, operatorNamespace, release, type Site } from "./site.ts";
import { kubeIn, storeObjects } from "./store-objects.ts";

/** Tests with etcd clusters that run in Kubernetes as StatefulSets. */
export function lostClusters(started: () => Site): void {
  describe("a lost etcd cluster in Kubernetes", { concurrency: false }, () => {
    let site: Site;
    let kube: Kube;
    let lab: Lab;
    before(async () => {
      site = started();
      kube = kubeIn(site, labNamespace);
      lab = labOf(site, kube);
      await kube.apply(...storeObjects(kube.namespace, site.store));
      await kube.wait("etcdbackupstore/store", "condition=Ready");
    });

    it("is restored under a new name with all keys of the backup, and can be backed up", async (t) => {
      const keys = await lab.start("prod");
      await kube.apply(lab.backup("before", "prod"));
      await kube.wait("etcdbackup/before", "condition=Succeeded");
      await lab.of("prod").put("/prod/later", "is not in the backup");
      await lab.lose("prod");

      const certificates = await tlsSecrets("back", kube.namespace);
      await kube.apply(...certificates, lab.restore("back", { backupRef: { name: "before" } }));
      await kube.wait("etcdrestore/back", "condition=Succeeded", { seconds: 300 });
      const { status } = await kube.restore("back");
      t.diagnostic(`recovery time: ${JSON.stringify(status.durations)}`);
      assert.equal(status.verification?.members.length, 3);
      await lab.assertHolds("back", keys, "/prod/");

      // The restored cluster can be backed up.
      await kube.apply(lab.backup("after", "back"));
      await kube.wait("etcdbackup/after", "condition=Succeeded");
      const { snapshot } = (await kube.backup("after")).status;
      assert.ok((snapshot?.revision ?? 0) > 1_000_000_000, "revisions never decrease");
      // Deleting the EtcdRestore deletes nothing of the cluster.
      await site.kubectl(["delete", "-n", kube.namespace, "etcdrestore/back", "--wait"]);
      await lab.assertHolds("back", keys, "/prod/");
    });

    it("is restored though the operator is killed during the backup and at each step of the restore", async () => {
      const keys = await lab.start("second");
      // Enough data for a stream of some seconds.
      for (let index = 0; index < 24; index += 1)
        await lab.of("second").put(`/filler/${index}`, "x".repeat(100_000));
      await kube.apply(lab.backup("torn", "second", { maxRate: "256Ki" }));
      await kube.waitReason("etcdbackup/torn", "Succeeded", "Streaming");
      await killOperator(site);
      await kube.wait("etcdbackup/torn", "condition=Succeeded", { seconds: 300 });
      await lab.lose("second");

      const source = { store: { storeRef: { name: "store" }, clusterName: "second" } };
      await kube.apply(...(await tlsSecrets("again", kube.namespace)), lab.restore("again", source));
      for (const step of ["RestoringMembers", "StartingCluster"]) {
        await kube.waitReason("etcdrestore/again", "Succeeded", step, { seconds: 300 });
        await killOperator(site);
      }
      await kube.wait("etcdrestore/again", "condition=Succeeded", { seconds: 300 });
      await lab.assertHolds("again", keys, "/second/");
    });

    it("is not restored from a damaged backup, and nothing is created", async () => {
      const { artifact } = (await kube.backup("before")).status;
      const name = artifact?.url.replace(`s3://${site.store.bucket}/`, "") ?? "";
      const bytes = await site.store.object(name);
      const middle = Math.floor(bytes.length / 2);
      bytes[middle] = (bytes[middle] ?? 0) ^ 1;
      await site.store.overwrite(name, bytes);
      await kube.apply(lab.restore("never", { backupRef: { name: "before" } }));
      await kube.wait("etcdrestore/never", "condition=Stalled");
      assert.equal(conditionOf(await kube.restore("never"), "Succeeded")?.reason, "BackupDamaged");
      const kinds = "pvc,jobs,services,statefulsets,pdb";
      const made = await site.kubectl(["get", kinds, "-n", kube.namespace, "-o", "name"]);
      assert.doesNotMatch(made, /never/);
    });
  });
}

async function killOperator(site: Site): Promise<void> {
  const selector = `app.kubernetes.io/instance=${release}`;
  const force = ["--grace-period=0", "--force"];
  await site.kubectl(["delete", "pods", "-n", operatorNamespace, "-l", selector, ...force]);
}

interface Lab {
  of(name: string): ReturnType<typeof labCluster>;
  /** Starts a cluster and puts keys, which it returns. */
  start(name: string): Promise<Map<string, string>>;
  /** Deletes the cluster, its volumes and its Services. */
  lose(name: string): Promise<void>;
  backup(name: string, cluster: string, more?: object): object;
  restore(target: string, source: object): object;
  /** All members have equal HashKV, and the Service answers with exactly these keys below the prefix. */
  assertHolds(target: string, keys: ReadonlyMap<string, string>, prefix: string): Promise<void>;
}

function labOf(site: Site, { namespace, apply, wait }: Kube): Lab {
  const of = (name: string, tlsPath = "/tls/client") => labCluster(site.kubectl, name, namespace, tlsPath);
  return {
    of,
    async start(name) {
      await apply(...(await tlsSecrets(name, namespace)), ...newCluster(name, namespace, site.etcdImage));
      await wait(`statefulset/${name}`, "jsonpath={.status.readyReplicas}=3");
      const keys = new Map(Array.from({ length: 12 }, (_, i) => [`/${name}/${i}`, `value ${i}`]));
      for (const [key, value] of keys) await of(name).put(key, value);
      return keys;
    },
    async lose(name) {
      const foreground = ["--cascade=foreground", "--wait"];
      await site.kubectl(["delete", "-n", namespace, `statefulset/${name}`, ...foreground]);
      const claims = [0, 1, 2].map((i) => `pvc/data-${name}-${i}`);
      const services = [`service/${name}-client`, `service/${name}-peers`];
      await site.kubectl(["delete", "-n", namespace, ...claims, ...services]);
    },
    backup: (name, cluster, more = {}) =>
      resourceObject("EtcdBackup", name, { ...backupSpec(cluster), ...more }, namespace),
    restore: (target, source) =>
      resourceObject("EtcdRestore", target, { source, ...restoreTarget(target, site.etcdImage) }, namespace),
    async assertHolds(target, keys, prefix) {
      const restored = of(target, "/etc/etcd/tls/client");
      const out = await restored.etcdctl(["get", "--prefix", prefix]);
      const lines = out.trimEnd().split("\n");
      const pairs = new Map(lines.flatMap((line, i) => (i % 2 === 0 ? [[line, lines[i + 1] ?? ""]] : [])));
      assert.deepEqual(pairs, keys);
      const hashes = await restored.etcdctl(["endpoint", "hashkv", "--cluster", "-w", "json"]);
      const values = [...hashes.matchAll(/"hash":(\d+)/g)].map(([, hash]) => hash);
      assert.deepEqual([values.length, new Set(values).size], [3, 1], hashes);
      await restored.put("/after", "the restore");
    },
  };
}

function backupSpec(cluster: string): object {
  return {
    clusterName: cluster,
    storeRef: { name: "store" },
    etcd: {
      service: { name: `${cluster}-client`, scheme: "https" },
      tls: { secretRef: { name: `${cluster}-client-tls` } },
    },
  };
}

function restoreTarget(name: string, image: string): object {
  const tls = { client: { name: `${name}-client-tls` }, peer: { name: `${name}-peer-tls` } };
  return { target: { cluster: { name, image, storage: { size: "1Gi" }, tls } } };
}
