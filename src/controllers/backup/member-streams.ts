import type { SnapshotCluster } from "../../backup/source.ts";
import type { KeyedMutex } from "../keyed-mutex.ts";

/** The same cluster with at most one snapshot stream a member at a time, from its opening to its last byte. */
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

/** Releases the member after its last byte: reading back from the store does not need it. */
async function* releasingAtEnd(
  chunks: AsyncIterable<Uint8Array>,
  release: () => void,
): AsyncGenerator<Uint8Array> {
  yield* chunks;
  release();
}
