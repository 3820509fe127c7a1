import { join } from "node:path";
import type { EtcdBackupStore } from "../../src/api/v1alpha1/etcd-backup-store.ts";
import { startApiServer } from "../harness/api-server.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { retry, eventually } from "../support/eventually.ts";
import { type Kube, kubeOf } from "../support/kube.ts";
import { startOperator } from "../support/operator-process.ts";
import { restoreWithEtcdutl } from "../support/restore-with-etcdutl.ts";
import { objectKeys } from "../support/s3-store.ts";
import { createBackup, repairSeconds } from "./backups.ts";
import { type Fault, seconds } from "./fault.ts";
import { leaseSeconds } from "./replica.ts";
import type { Testbed } from "./testbed.ts";

/** The application name of copies, by which the store's requests are told apart. */
export const copyName = "copy";

/**
 * A Kubernetes cluster is restored from a snapshot of the original's etcd, beside the original. It deletes all of its
 * EtcdBackups and makes backups of the same etcd. It begins when the original has renewed its writer since the snapshot:
 * until then it would pass for the original (docs/decisions/0011).
 */
export const copiedCluster: Fault = {
  name: "a copy of the Kubernetes cluster runs beside the original",
  on: "copy",
  isLong: true,
  async inflict(testbed, random, _, round) {
    const { bench, bucket, schedules } = testbed;
    const { number, note } = round;
    await using stack = new AsyncDisposableStack();
    const { path } = stack.use(await tempDir("copy"));
    const snapshot = join(path, "snapshot.db");
    await createBackup(testbed, round, `r${number}-copied`, spec);
    await seconds(random, 0, 12);
    await bench.api.etcd.etcdctl(["snapshot", "save", snapshot]);
    const etcd = stack.use(await restoreWithEtcdutl("3.6", snapshot, path));
    const api = stack.use(await startApiServer({ etcd }));
    const kube = kubeOf(api.kubectl);
    const writer = (await kube.store(bucket)).status.writer;
    if (writer === undefined) return note("the copy has no writer yet");
    for (const store of [bucket, schedules.bucket]) {
      const copied = (await kube.store(store)).status.writer;
      if (copied !== undefined) await originalRenews(testbed, store, copied);
    }
    const all = ["delete", "etcdbackup", "--all", "-n", "default", "--wait=false"];
    const isEarly = random.oneIn(2);
    if (isEarly) await api.kubectl(all);
    const names = [`copied-${number}-0`, `copied-${number}-1`];
    const back = async (name: string) => kube.apply(bench.backupObject(name, bucket, spec));
    for (const name of names) await back(name);
    const operator = stack.use(
      await startOperator(api, {
        args: ["--lease-duration", String(leaseSeconds)],
        env: { POD_NAME: copyName, AWS_SDK_UA_APP_ID: copyName },
        ready: false,
      }),
    );
    stack.defer(() => void testbed.copyLogs.push(operator.process.output()));
    const reason = await writerReason(kube, bucket);
    note(`the copy of writer ${writer.id} runs; its Writer condition is ${reason}`);
    if (!isEarly) await api.kubectl(all);
    await back(`copied-${number}-2`);
    await seconds(random, 8, 15);
  },
};

const spec = { deletionPolicy: "Delete", timeoutSeconds: 60, backoffLimit: 3 };

/** Waits until the store holds a newer renewal of the writer than its copy knows. A changed spec makes the original probe. */
async function originalRenews(
  { bench }: Testbed,
  bucket: string,
  { id, renewal }: NonNullable<EtcdBackupStore["status"]["writer"]>,
): Promise<void> {
  const region = (await bench.kube.store(bucket)).spec.s3?.region === undefined ? bench.s3.region : null;
  const patch = JSON.stringify({ spec: { s3: { region } } });
  const args = ["patch", "etcdbackupstore", bucket, "--type=merge", "-p", patch, "--request-timeout=10s"];
  await retry("the API server accepts the change of the store", () => bench.api.kubectl(args), repairSeconds);
  const isNewer = (key: string) => Number(/\/(\d{20})-[0-9a-f]+$/.exec(key)?.[1]) > renewal;
  await eventually(
    "the original renews its writer",
    async () => (await objectKeys(bench.raw, bucket, `.writers/${id}/`)).some(isNewer),
    90,
  );
}

/** The reason of the copy's Writer condition, as soon as it says that the original lives. A copy that does not say so acts. */
async function writerReason(kube: Kube, bucket: string): Promise<string> {
  let reason = "";
  const isTold = async () => {
    const { conditions = [] } = (await kube.store(bucket)).status;
    reason = conditions.find(({ type }) => type === "Writer")?.reason ?? "";
    return reason === "CopyOfLivingWriter";
  };
  await eventually("the copy knows what it is", isTold, 30).catch(() => {});
  return reason;
}

/** Requests of a copy that its original's folders forbid: manifests, and deletions of anything but its own writer and probes. */
export function forbiddenToCopies(acts: readonly { request: string }[]): string[] {
  return acts.map(({ request }) => request).filter((request) => !/\/(\.writers\/|\.probe-)/.test(request));
}
