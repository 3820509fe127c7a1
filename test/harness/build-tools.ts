import { type BinaryName, binary, type EtcdMinor, UnavailableBinary } from "./binaries.ts";

/** Finds or builds every binary that the tests need, one after the other, and prints its path. */
const needed: [BinaryName, EtcdMinor?][] = [
  ["etcd", "3.6"],
  ["etcdctl", "3.6"],
  ["etcdutl", "3.6"],
  ["etcd", "3.5"],
  ["etcdctl", "3.5"],
  ["etcdutl", "3.5"],
  ["etcd", "3.4"],
  ["etcdctl", "3.4"],
  ["kube-apiserver"],
  ["kubectl"],
  ["versitygw"],
  ["minio"],
  ["helm"],
];

for (const [name, minor] of needed) {
  const title = [name, ...(minor === undefined ? [] : [minor])].join(" ").padEnd(16);
  try {
    process.stdout.write(`${title} ${await binary(name, minor)}\n`);
  } catch (error) {
    if (!(error instanceof UnavailableBinary)) throw error;
    process.stdout.write(`${title} unavailable: ${error.message}\n`);
    process.exitCode = 1;
  }
}
