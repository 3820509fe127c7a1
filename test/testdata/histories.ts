import { AlarmAction, AlarmType, Etcd3, Range } from "etcd3";
import type { EtcdCluster } from "../harness/etcd-cluster.ts";

/** Writes everything that etcd stores in its own way: small and large values, transactions, deletions, leases, users. */
export async function writeMixedHistory(cluster: EtcdCluster): Promise<void> {
  using client = clientOf(cluster);
  await client.etcd.put("alone").value("a");
  for (let i = 0; i < 40; i++) await client.etcd.put(`/registry/pods/ns-${i % 3}/pod-${i}`).value(`{"i":${i}}`);
  for (const size of [4000, 4096, 9000, 70_000]) {
    await client.etcd.put(`/registry/secrets/of-${size}-bytes`).value(Buffer.alloc(size, `${size} `));
  }
  await client.etcd
    .if("alone", "Value", "==", "a")
    .then(...["one", "two", "three"].map((key) => client.etcd.put(key).value(key)), client.etcd.delete().key("alone"))
    .commit();
  await client.etcd.put("alone").value("again");
  await client.etcd.delete().range(new Range("/registry/pods/ns-1/", "/registry/pods/ns-10"));
  const lease = client.etcd.lease(3600, { autoKeepAlive: false });
  await lease.put("leased").value("x");
  await cluster.etcdctl(["user", "add", "somebody:secret"]);
  await cluster.etcdctl(["role", "add", "reader"]);
  await cluster.etcdctl(["role", "grant-permission", "reader", "read", "/registry/", "--prefix"]);
  await cluster.etcdctl(["user", "grant-role", "somebody", "reader"]);
}

/** Puts `keys` keys in transactions of a hundred, by four writers. */
export async function writeKeys(
  cluster: EtcdCluster,
  options: { keys: number; value: (index: number) => Buffer; rounds?: number },
): Promise<void> {
  using client = clientOf(cluster);
  for (let round = 0; round < (options.rounds ?? 1); round++) {
    let next = 0;
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        while (next < options.keys) {
          const from = next;
          next = Math.min(options.keys, from + 100);
          const puts = [];
          for (let i = from; i < next; i++) {
            puts.push({ request_put: { key: Buffer.from(`/bulk/${i}`), value: options.value(i) } });
          }
          await client.etcd.kv.txn({ compare: [], success: puts, failure: [] });
        }
      }),
    );
  }
}

/** Overwrites, deletes and puts again, so that the database file has pages of many transactions. */
export async function churn(cluster: EtcdCluster, keys: number): Promise<void> {
  using client = clientOf(cluster);
  for (let round = 0; round < 4; round++) {
    await writeKeys(cluster, { keys, value: (i) => Buffer.alloc(40 + ((i * 37 * (round + 1)) % 900), `${i} `) });
    await client.etcd.put(`/large/${round}`).value(Buffer.alloc(30_000 * (round + 1), "large"));
    await client.etcd.delete().range(new Range(`/bulk/${round + 1}`, `/bulk/${round + 2}`));
    await client.etcd.delete().key(`/large/${round - 1}`);
  }
}

/** Raises the NOSPACE alarm for the cluster's first member. */
export async function raiseAlarm(cluster: EtcdCluster): Promise<void> {
  using client = clientOf(cluster);
  const { header } = await client.etcd.maintenance.status();
  await client.etcd.maintenance.alarm({ action: AlarmAction.Activate, memberID: header.member_id, alarm: AlarmType.Nospace });
}

function clientOf(cluster: EtcdCluster): { etcd: Etcd3 } & Disposable {
  const etcd = new Etcd3({ hosts: cluster.endpoints });
  return { etcd, [Symbol.dispose]: () => etcd.close() };
}
