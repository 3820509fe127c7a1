import assert from "node:assert/strict";
import { it } from "node:test";
import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupSchedule } from "../../src/api/v1alpha1/etcd-backup-schedule.ts";
import { resourceObject } from "../support/custom-resources.ts";
import { eventually } from "../support/eventually.ts";
import { connectionToControlPlane } from "./lost-control-plane.ts";
import { operatorNamespace, release, type Site } from "./site.ts";
import { kubeIn, storeObjects } from "./store-objects.ts";

/** A schedule for the etcd of the Kubernetes control plane. */
export function scheduled(started: () => Site): void {
  it("a schedule backs the control plane up each minute, without its operator's Pod between, and keeps the newest", async (t) => {
    const site = started();
    if (!site.ownNode) {
      t.skip("E2E_KUBECONFIG names the cluster, whose etcd may not be reached");
      return;
    }
    const kube = kubeIn(site, operatorNamespace);
    await site.helmUpgrade(["kubeadm.enabled=true", "extraArgs={--hold-duration=15}"]);
    await kube.apply(...storeObjects(operatorNamespace, site.store));
    await kube.wait("etcdbackupstore/store", "condition=Ready");
    const spec = {
      schedule: "* * * * *",
      runImmediately: true,
      retention: { keepLast: 1 },
      template: {
        spec: { clusterName: "scheduled", storeRef: { name: "store" }, etcd: connectionToControlPlane() },
      },
    };
    await kube.apply(resourceObject("EtcdBackupSchedule", "minutely", spec, operatorNamespace));
    const status = async () =>
      (await kube.get<EtcdBackupSchedule>("etcdbackupschedule/minutely", operatorNamespace)).status;
    await eventually(
      "the first backup is in the recovery window",
      async () => (await status()).recoveryWindow?.count === 1,
      120,
    );
    const [first = ""] = await stored(site);
    await site.kubectl([
      ...["delete", "pods", "-n", operatorNamespace, "--force", "--grace-period=0"],
      ...["-l", `app.kubernetes.io/instance=${release}`],
    ]);
    await eventually(
      "a later backup has replaced the first",
      async () => ((await status()).retention?.removed ?? 0) > 0,
      240,
    );
    const left = await stored(site);
    assert.deepEqual([left.length, left.includes(first)], [1, false]);
    await site.kubectl(["delete", "etcdbackupschedule/minutely", "-n", operatorNamespace]);
    const selector = ["-l", "etcdbackup.dev/schedule=minutely"];
    const list = await site.kubectl([
      "get",
      "etcdbackups",
      "-n",
      operatorNamespace,
      ...selector,
      "-o",
      "json",
    ]);
    const times = (JSON.parse(list) as { items: EtcdBackup[] }).items.map(
      ({ metadata }) => metadata.annotations?.["etcdbackup.dev/scheduled-at"],
    );
    assert.equal(new Set(times).size, times.length, "no time ran twice");
  });
}

/** The manifests in the store. */
async function stored(site: Site): Promise<string[]> {
  return (await site.store.objects("scheduled/")).filter((key) => /^scheduled\/\d[^/]+\.json$/.test(key));
}
