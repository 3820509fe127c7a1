import type { SnapshotCluster } from "../../backup/source.ts";
import type { KeyedMutex } from "../keyed-mutex.ts";

/** The same cluster, whose members are each read by one stream at a time: from its opening to its last byte. */
export function oneStreamAMember(cluster: SnapshotCluster, streams: KeyedMutex): SnapshotCluster {
  return {
    observe: (signal) => cluster.observe(signal),
    hashKV: (endpoint, revision, options) => cluster.hashKV(endpoint, revision, options),
    async snapshot(member, signal) {
      const release = await streams.acquire(member.id || member.endpoint, signal);
      try {
        const stream = await cluster.snapshot(member, signal);
        return {
          totalBytes: stream.totalBytes,
          chunks: releasingAtEnd(stream.chunks, release),
          async [Symbol.asyncDispose]() {
            release();
            await stream[Symbol.asyncDispose]();
          },
        };
      } catch (error) {
        release();
        throw error;
      }
    },
  };
}

/** Reading back from the store needs no member, so the member is free after its last byte. */
async function* releasingAtEnd(
  chunks: AsyncIterable<Uint8Array>,
  release: () => void,
): AsyncGenerator<Uint8Array> {
  yield* chunks;
  release();
}
