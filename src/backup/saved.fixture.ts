import { memberFacts, statusOf } from "../core/etcd/member.fixture.ts";
import { defaultSelection } from "../core/etcd/member-choice.ts";
import type { MemoryStore } from "../store/memory/memory-store.fixture.ts";
import type { Manifest } from "./manifest/manifest.ts";
import { type SaveOptions, saveSnapshot } from "./save.ts";

/** Stores a snapshot file (database and trailer) as a backup, with the real save over a cluster of one member. */
export async function saveFile(
  file: Buffer,
  store: MemoryStore,
  over: Pick<SaveOptions, "clusterName" | "compression">,
): Promise<Manifest> {
  const member = memberFacts("m0", { id: "a", isLeader: true });
  return saveSnapshot({
    cluster: {
      endpoints: [member.endpoint],
      observe: async () => ({ clusterId: "cafe", members: [member] }),
      status: async () => statusOf(member),
      confirmQuorum: async () => {},
      hashKV: async () => ({ hash: 1, compactRevision: 1 }),
      snapshot: async () => ({
        totalBytes: file.length - 32,
        chunks: (async function* () {
          yield file;
        })(),
        async [Symbol.asyncDispose]() {},
      }),
    },
    store,
    runId: "abcd",
    selection: defaultSelection,
    hashKV: "Skip",
    readBack: false,
    tool: { name: "test", version: "1" },
    now: () => new Date("2026-08-20T02:00:00Z"),
    signal: new AbortController().signal,
    ...over,
  });
}
