import { join } from "node:path";
import { type EtcdMinor, binary } from "../harness/binaries.ts";
import { freePorts, runOrThrow, startProcess } from "../harness/process.ts";

/** As a person would: the minor's own tool, with its hash check on, then the minor's own etcd. */
export async function restoreAndStart(minor: EtcdMinor, snapshot: string, directory: string) {
  await using stack = new AsyncDisposableStack();
  const dataDir = join(directory, "restored");
  const [clientPort = 0, peerPort = 0] = await freePorts(2);
  const peer = `http://127.0.0.1:${peerPort}`;
  const tool = await binary(minor === "3.4" ? "etcdctl" : "etcdutl", minor);
  await runOrThrow(
    tool,
    [
      "snapshot",
      "restore",
      snapshot,
      "--name=m1",
      `--data-dir=${dataDir}`,
      `--initial-cluster=m1=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
    ],
    { env: { ETCDCTL_API: "3" } },
  );
  const endpoint = `http://127.0.0.1:${clientPort}`;
  stack.use(
    startProcess(await binary("etcd", minor), [
      "--name=m1",
      `--data-dir=${dataDir}`,
      `--listen-client-urls=${endpoint}`,
      `--advertise-client-urls=${endpoint}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=m1=${peer}`,
    ]),
  );
  const etcdctl = await binary("etcdctl", minor);
  const moved = stack.move();
  return {
    etcdctl: (args: string[]) =>
      runOrThrow(
        etcdctl,
        [`--endpoints=${endpoint}`, "--dial-timeout=15s", "--command-timeout=20s", ...args],
        { env: { ETCDCTL_API: "3" } },
      ),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}
