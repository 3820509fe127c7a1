/** Bytes of a pair with its key and its record: `size / pairBytes` pairs fill a database of `size` bytes. */
export const pairBytes = 8192;

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const recordOverhead = 160;

/** Returns 32 random bits a call; equal seeds give equal sequences (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** A pair like those of an API server: JSON, about half of it the same in every pair. zstd compresses it to half its size. */
export function kubernetesPair(index: number, random: () => number): { key: Buffer; value: Buffer } {
  const name = `web-${index.toString(36).padStart(6, "0")}`;
  const key = Buffer.from(`/registry/pods/namespace-${index % 97}/${name}`);
  const body = {
    kind: "Pod",
    apiVersion: "v1",
    metadata: {
      name,
      uid: text(36, random),
      labels: { "app.kubernetes.io/name": "web", "pod-template-hash": text(10, random) },
    },
    spec: {
      volumes: Array.from({ length: 6 }, (_, i) => ({
        name: `kube-api-access-${i}`,
        token: text(40, random),
      })),
      secret: text(4900, random),
      tolerations: Array.from({ length: 8 }, () => ({
        key: "node.kubernetes.io/not-ready",
        operator: "Exists",
        effect: "NoExecute",
        tolerationSeconds: 300,
      })),
    },
    managedFields: "",
  };
  const room = pairBytes - recordOverhead - key.length - JSON.stringify(body).length;
  body.managedFields = "f:metadata f:labels f:app.kubernetes.io/name ".repeat(200).slice(0, room);
  return { key, value: Buffer.from(JSON.stringify(body)) };
}

function text(length: number, random: () => number): string {
  let made = "";
  while (made.length < length) {
    let bits = random();
    for (let i = 0; i < 5; i += 1, bits >>>= 6) made += alphabet[bits & 63] ?? "";
  }
  return made.slice(0, length);
}
