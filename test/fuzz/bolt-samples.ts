import { bytesOf, keyValue, type Pair, revisionKey, writeBolt } from "../testdata/bolt-writer.ts";
import { databaseOf, expectedStatuses } from "../testdata/snapshot-files.ts";
import type { Random } from "../harness/random.ts";

const ofEtcd = expectedStatuses()
  .map(([name]) => databaseOf(name))
  .toSorted((a, b) => a.length - b.length);

/** A valid database: of etcd, or a small hand-made one. The caller may change its bytes. */
export function sampleDatabase(random: Random): Buffer {
  if (random.oneIn(200)) return Buffer.from(random.pick(ofEtcd));
  if (random.oneIn(8)) return Buffer.from(random.pick(ofEtcd.slice(0, 4)));
  return handMade(random);
}

function handMade(random: Random): Buffer {
  const gaps = random.below(3);
  return bytesOf(
    writeBolt({
      pageSize: random.pick([1024, 1024, 1024, 2048, 4096]),
      buckets: {
        alarm: random.oneIn(2)
          ? []
          : [{ key: Buffer.from("0801100" + random.pick(["1", "2"]), "hex"), value: Buffer.alloc(0) }],
        auth: [{ key: Buffer.from("authEnabled"), value: Buffer.of(random.below(2)) }],
        cluster: [
          { key: Buffer.from("clusterVersion"), value: Buffer.from(random.pick(["3.5.0", "3.6.0"])) },
        ],
        key: history(random),
        lease: numbered(random.below(20), random.pick([8, 8, 300, 700]), random.below(60)),
        members: [
          {
            key: Buffer.from("8e9e05c52164694d"),
            value: Buffer.from('{"name":"m1","peerURLs":["http://a:1"]}'),
          },
        ],
        meta: [
          { key: Buffer.from("consistent_index"), value: Buffer.alloc(8, 1) },
          { key: Buffer.from("finishedCompactRev"), value: revisionKey(2) },
          ...(random.oneIn(2) ? [] : [{ key: Buffer.from("storageVersion"), value: Buffer.from("3.6.0") }]),
          { key: Buffer.from("term"), value: Buffer.alloc(8, 2) },
        ],
      },
      inline: !random.oneIn(3),
      freelist: random.oneIn(2),
      gap: () => random.below(gaps + 1),
      minPairs: random.pick([2, 2, 3, 40]),
    }),
  );
}

function history(random: Random): Pair[] {
  const count = random.below(random.pick([1, 5, 60, 150]));
  return Array.from({ length: count }, (_, i) => {
    const key = `/k/${random.below(20)}`;
    const tombstone = random.oneIn(6);
    const size = random.oneIn(20) ? random.below(5000) : random.below(60);
    const value = tombstone
      ? keyValue({ key })
      : keyValue({ key, value: Buffer.alloc(size, i), revision: i + 2 });
    return { key: revisionKey(i + 2, random.below(2), tombstone), value };
  });
}

function numbered(count: number, keySize: number, valueSize: number): Pair[] {
  return Array.from({ length: count }, (_, i) => {
    const key = Buffer.alloc(keySize);
    key.writeUInt32BE(i, keySize - 4);
    return { key, value: Buffer.alloc(valueSize, i) };
  });
}
