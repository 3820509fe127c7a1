import assert from "node:assert/strict";
import { type Socket, createServer } from "node:net";
import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";
import { secretsOf } from "../support/bench.ts";
import { conditionOf } from "../support/custom-resources.ts";
import { eventually, retry } from "../support/eventually.ts";
import { close, listen } from "../support/listen.ts";
import { type ExpectedBackup, createBackup, repairSeconds } from "./backups.ts";
import { type Fault, seconds } from "./fault.ts";
import type { Testbed } from "./testbed.ts";

/** The default of --max-concurrent-backups. */
const slots = 2;

export const otherTenant = "other-tenant";

export interface SilentServer extends AsyncDisposable {
  readonly endpoint: string;
}

/** Accepts connections and never answers. */
export async function startSilentServer(): Promise<SilentServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    socket.resume();
  });
  return {
    endpoint: `http://127.0.0.1:${await listen(server)}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await close(server);
    },
  };
}

/**
 * The store of another namespace is silent, and its EtcdBackups of the same etcd run and are deleted. They could run for
 * an hour, so they are still there when the backups of the main tenant have to be at rest.
 */
export const silentTenant: Fault = {
  name: "the store of another tenant is silent",
  on: "tenant",
  isLong: true,
  async inflict(testbed, random, _, round) {
    const { bench, silent } = testbed;
    const { number, note } = round;
    const objects = bench.storeObject(
      "silent",
      {
        s3: {
          endpoint: silent.endpoint,
          forcePathStyle: true,
          bucket: "silent",
          credentialsSecretRef: { name: "s3" },
        },
      },
      otherTenant,
    );
    const accept = (what: string, call: () => Promise<unknown>) =>
      retry(`the API server accepts ${what}`, call, repairSeconds);
    const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: otherTenant } };
    await accept("a namespace", () => bench.kube.apply(namespace));
    await accept("a silent store", () =>
      bench.kube.apply(...secretsOf(bench.etcd, bench.s3, undefined, otherTenant), objects),
    );
    testbed.afterRest.push(() => removeTenant(testbed));
    const names = Array.from({ length: 8 }, (_item, i) => `silent-${number}-${i}`);
    const spec = { timeoutSeconds: 3600, backoffLimit: 10 };
    await accept("EtcdBackups of another tenant", () =>
      bench.kube.apply(
        ...names.map((name, i) => {
          // Backups of one etcd wait for each other and hold one slot. Those of several could hold all slots.
          const { endpoints, members } = bench.etcd;
          const one = members.slice(i % members.length).slice(0, 1);
          const etcd = { endpoints: i % 2 === 0 ? endpoints : one.map(({ endpoint }) => endpoint) };
          return bench.backupObject(
            name,
            "silent",
            { ...spec, etcd, deletionPolicy: i % 3 === 0 ? "Delete" : "Retain" },
            otherTenant,
          );
        }),
      ),
    );
    note(`created ${names.length} EtcdBackups of another tenant, whose store is silent`);
    const begun = await attemptsBegin(testbed);
    await createBackup(testbed, round, `r${number}-beside`, besideSpec);
    note(`${begun} attempts on the silent store have begun`);
    await seconds(random, 1, 8);
    const deleted = names.filter(() => random.oneIn(2));
    const args = ["delete", "etcdbackup", "-n", otherTenant, "--wait=false", "--ignore-not-found"];
    await accept("deletions", () => bench.api.kubectl([...args, ...deleted, "--request-timeout=10s"]));
    note(`deleted ${deleted.length} EtcdBackups of another tenant`);
  },
};

/**
 * Waits until attempts hold as many slots as the tenant may get. The operator asks the silent store first who holds the
 * folder, and waits 30 s for the answer. Resolves to their number.
 */
async function attemptsBegin({ allBackups }: Testbed): Promise<number> {
  let begun = 0;
  const haveAll = async () => {
    begun = (await allBackups()).filter(
      ({ metadata, status }) => metadata.namespace === otherTenant && (status.attempts ?? 0) > 0,
    ).length;
    return begun >= slots;
  };
  // An operator that leaves a slot to the other tenant begins fewer.
  await eventually("attempts on the silent store hold all slots", haveAll, 70).catch(() => {});
  return begun;
}

const besideSpec = { deletionPolicy: "Retain", timeoutSeconds: 60, backoffLimit: 3 };

/** Ends the tenant: a person lets the EtcdBackups go without their store, which never answers. */
async function removeTenant({ bench, allBackups }: Testbed): Promise<void> {
  const all = ["etcdbackup", "-n", otherTenant, "--all", "--request-timeout=10s"];
  const force = ["annotate", ...all, "--overwrite", "etcdbackup.dev/force-delete=true"];
  await retry("the annotation is accepted", () => bench.api.kubectl(force), repairSeconds);
  await retry(
    "the deletion is accepted",
    () => bench.api.kubectl(["delete", ...all, "--wait=false"]),
    repairSeconds,
  );
  await eventually(
    "the EtcdBackups of a silent store go when a person forces it",
    async () => (await allBackups()).every(({ metadata }) => metadata.namespace !== otherTenant),
    repairSeconds,
  );
  await bench.api.kubectl([
    "delete",
    "etcdbackupstore",
    "silent",
    "-n",
    otherTenant,
    "--wait=false",
    "--ignore-not-found",
  ]);
}

/** In a round without another fault a backup that no rate slows succeeds by its first attempt. */
export function assertUndisturbed(
  backups: readonly EtcdBackup[],
  expected: ReadonlyMap<string, ExpectedBackup>,
  prefix: string,
): void {
  for (const backup of backups) {
    const { name, deletionTimestamp } = backup.metadata;
    const spec = expected.get(name)?.spec;
    if (!name.startsWith(prefix) || deletionTimestamp !== undefined || spec === undefined) continue;
    if (spec.maxRate !== undefined || (spec.timeoutSeconds ?? 0) < 60) continue;
    assert.deepEqual(
      [conditionOf(backup, "Succeeded")?.status, backup.status.attempts],
      ["True", 1],
      `${name} was disturbed by the silent store of another tenant: ${JSON.stringify(backup.status)}`,
    );
  }
}
