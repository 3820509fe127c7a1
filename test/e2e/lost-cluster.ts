import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";
import type { EtcdRestore } from "../../src/api/v1alpha1/etcd-restore.ts";
import { type Asking, asking, reasonIs, storeObjects } from "./asking.ts";
import { labCluster, newCluster, tlsSecrets } from "./etcd-in-kubernetes.ts";
import { operatorNamespace, release, type Site } from "./site.ts";

/** Scenarios on clusters that run in the Kubernetes cluster as StatefulSets. */
export function lostClusters(started: () => Site): void {
  describe("a cluster in Kubernetes that is lost", { concurrency: false }, () => {
    let site: Site;
    let ask: Asking;
    let lab: Lab;
    before(async () => {
      site = started();
      ask = asking(site, "lab");
      lab = labOf(site, ask);
      await site.kubectl(["create", "namespace", ask.namespace]);
      await ask.apply(...storeObjects(ask, site.store));
      await ask.wait("etcdbackupstore/store", "condition=Ready");
    });

    it("comes back under a new name, with everything that the backup holds, proved and reachable", async (t) => {
      const keys = await lab.start("prod");
      await ask.apply(lab.backup("before", "prod"));
      await ask.wait("etcdbackup/before", "condition=Succeeded");
      await lab.of("prod").put("/prod/later", "is not in the backup");
      await lab.lose("prod");

      const certificates = await tlsSecrets("back", ask.namespace);
      await ask.apply(...certificates, lab.restore("back", { backupRef: { name: "before" } }));
      await ask.wait("etcdrestore/back", "condition=Succeeded", 300);
      const { status } = await ask.get<EtcdRestore>("etcdrestore/back");
      t.diagnostic(`recovery time: ${JSON.stringify(status.durations)}`);
      assert.equal(status.verification?.members.length, 3);
      await lab.holds("back", keys, "/prod/");

      // The next backup is of the new cluster, and nothing stands in its way.
      await ask.apply(lab.backup("after", "back"));
      await ask.wait("etcdbackup/after", "condition=Succeeded");
      const { snapshot } = (await ask.get<EtcdBackup>("etcdbackup/after")).status;
      assert.ok((snapshot?.revision ?? 0) > 1_000_000_000, "revisions only rise");
      // It owns nothing of the cluster.
      await site.kubectl(["delete", "-n", ask.namespace, "etcdrestore/back", "--wait"]);
      await lab.holds("back", keys, "/prod/");
    });

    it("comes back though the operator is killed in the backup and at the steps of the restore", async () => {
      const keys = await lab.start("second");
      // So much that it streams for a while.
      for (let index = 0; index < 24; index += 1)
        await lab.of("second").put(`/filler/${index}`, "x".repeat(100_000));
      await ask.apply(lab.backup("torn", "second", { maxRate: "256Ki" }));
      await ask.wait("etcdbackup/torn", reasonIs("Streaming"));
      await killOperator(site);
      await ask.wait("etcdbackup/torn", "condition=Succeeded", 300);
      await lab.lose("second");

      const source = { store: { storeRef: { name: "store" }, clusterName: "second" } };
      await ask.apply(...(await tlsSecrets("again", ask.namespace)), lab.restore("again", source));
      for (const step of ["RestoringMembers", "StartingCluster"]) {
        await ask.wait("etcdrestore/again", reasonIs(step), 300);
        await killOperator(site);
      }
      await ask.wait("etcdrestore/again", "condition=Succeeded", 300);
      await lab.holds("again", keys, "/second/");
    });

    it("is refused a damaged backup, and nothing is created", async () => {
      const { artifact } = (await ask.get<EtcdBackup>("etcdbackup/before")).status;
      const name = artifact?.url.replace(`s3://${site.store.bucket}/`, "") ?? "";
      const bytes = await site.store.object(name);
      const middle = Math.floor(bytes.length / 2);
      bytes[middle] = (bytes[middle] ?? 0) ^ 1;
      await site.store.overwrite(name, bytes);
      await ask.apply(lab.restore("never", { backupRef: { name: "before" } }));
      await ask.wait("etcdrestore/never", "condition=Stalled");
      const { conditions = [] } = (await ask.get<EtcdRestore>("etcdrestore/never")).status;
      assert.equal(conditions.find(({ type }) => type === "Succeeded")?.reason, "BackupDamaged");
      const kinds = "pvc,jobs,services,statefulsets,pdb";
      const made = await site.kubectl(["get", kinds, "-n", ask.namespace, "-o", "name"]);
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
  /** A new cluster with some keys in it, which are the result. */
  start(name: string): Promise<Map<string, string>>;
  /** The cluster, its volumes and its Services. */
  lose(name: string): Promise<void>;
  backup(name: string, cluster: string, more?: object): object;
  restore(target: string, source: object): object;
  /** Equal on all members, and every key of the backup there, through the Service. */
  holds(target: string, keys: ReadonlyMap<string, string>, prefix: string): Promise<void>;
}

function labOf(site: Site, { namespace, apply, wait, resource }: Asking): Lab {
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
      const gone = ["--cascade=foreground", "--wait"];
      await site.kubectl(["delete", "-n", namespace, `statefulset/${name}`, ...gone]);
      const claims = [0, 1, 2].map((i) => `pvc/data-${name}-${i}`);
      const services = [`service/${name}-client`, `service/${name}-peers`];
      await site.kubectl(["delete", "-n", namespace, ...claims, ...services]);
    },
    backup: (name, cluster, more = {}) =>
      resource("EtcdBackup", name, {
        clusterName: cluster,
        storeRef: { name: "store" },
        etcd: {
          service: { name: `${cluster}-client`, scheme: "https" },
          tls: { secretRef: { name: `${cluster}-client-tls` } },
        },
        ...more,
      }),
    restore: (target, source) =>
      resource("EtcdRestore", target, {
        source,
        target: {
          cluster: {
            name: target,
            image: site.etcdImage,
            storage: { size: "1Gi" },
            tls: { client: { name: `${target}-client-tls` }, peer: { name: `${target}-peer-tls` } },
          },
        },
      }),
    async holds(target, keys, prefix) {
      const restored = of(target, "/etc/etcd/tls/client");
      const out = await restored.etcdctl(["get", "--prefix", prefix]);
      const lines = out.trimEnd().split("\n");
      const found = new Map(lines.flatMap((line, i) => (i % 2 === 0 ? [[line, lines[i + 1] ?? ""]] : [])));
      assert.deepEqual(found, keys);
      const hashes = await restored.etcdctl(["endpoint", "hashkv", "--cluster", "-w", "json"]);
      const values = [...hashes.matchAll(/"hash":(\d+)/g)].map(([, hash]) => hash);
      assert.deepEqual([values.length, new Set(values).size], [3, 1], hashes);
      await restored.put("/after", "the restore");
    },
  };
}
