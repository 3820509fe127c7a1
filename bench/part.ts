import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { crc32c } from "@node-rs/crc32";
import { readSnapshot } from "../src/snapshot/read.ts";
import { createStatusReader } from "../src/snapshot/status.ts";
import { trailerSize } from "../src/snapshot/trailer.ts";
import { compressFrames } from "../src/backup/frames.ts";

// Runs one part of a save in its own process: `node bench/part.ts <part> <input>`. Prints a PartResult as JSON.

/** The cost of a part, without the start of the process. */
export interface PartResult {
  seconds: number;
  cpuSeconds: number;
  /** Bytes that the part read. */
  bytes: number;
}

/** Chunks like those of the snapshot stream: 1 MiB, each in a separate buffer. */
async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  await using file = await open(path);
  for (;;) {
    const buffer = Buffer.allocUnsafeSlow(1024 * 1024);
    const { bytesRead } = await file.read(buffer);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

async function drain(chunks: AsyncIterable<Uint8Array>, onChunk: (chunk: Uint8Array) => void = () => {}) {
  let bytes = 0;
  for await (const chunk of chunks) {
    onChunk(chunk);
    bytes += chunk.length;
  }
  return bytes;
}

const signal = new AbortController().signal;

/** Resolves to the number of bytes that the part read from its input, a file or an endpoint. */
type Part = (input: string) => Promise<number>;

/** Loads the etcd and S3 clients only for the parts that use them, so that a peak is the part's own. */
async function loadPart(part: string): Promise<Part | undefined> {
  switch (part) {
    case "stream":
      return loadStream();
    case "upload":
      return loadUpload();
    default:
      return fileParts[part];
  }
}

async function loadStream(): Promise<Part> {
  const { openCluster } = await import("../src/etcd/cluster.ts");
  return async (endpoint) => {
    await using cluster = openCluster([endpoint], { timeoutMs: 5000 });
    const [member] = (await cluster.observe(signal)).members;
    if (member === undefined) throw new Error("the cluster has no member");
    await using stream = await cluster.snapshot(member, signal);
    return await drain(stream.chunks);
  };
}

async function loadUpload(): Promise<Part> {
  const [{ openStore }, { parseStoreUrl }] = await Promise.all([
    import("../src/store/open.ts"),
    import("../src/store/url.ts"),
    import("../src/store/s3/s3-store.ts"),
  ]);
  return async (path) => {
    await using store = await openStore(parseStoreUrl(process.env["PART_STORE"] ?? ""), { env: process.env });
    const { size } = await store.put("part.db", chunksOf(path), { signal });
    return size;
  };
}

const fileParts: Readonly<Record<string, Part>> = {
  read: (path) => drain(chunksOf(path)),
  sha256(path) {
    const hash = createHash("sha256");
    return drain(chunksOf(path), (chunk) => void hash.update(chunk));
  },
  crc32c(path) {
    let crc = 0;
    return drain(chunksOf(path), (chunk) => void (crc = crc32c(chunk, crc)));
  },
  async status(path) {
    const reader = createStatusReader();
    await using file = await open(path);
    let remaining = (await file.stat()).size - trailerSize;
    const bytes = await drain(chunksOf(path), (chunk) => {
      if (remaining > 0) reader.push(chunk.subarray(0, remaining));
      remaining -= chunk.length;
    });
    if ((await reader.finish()).violationCount > 0) throw new Error("the status reader found violations");
    return bytes;
  },
  async checks(path) {
    let crc = 0;
    async function* counted() {
      for await (const chunk of chunksOf(path)) {
        crc = crc32c(chunk, crc);
        yield chunk;
      }
    }
    return (await readSnapshot(counted(), { signal })).fileBytes;
  },
  async zstd(path) {
    let bytes = 0;
    async function* counted() {
      for await (const chunk of chunksOf(path)) {
        bytes += chunk.length;
        yield chunk;
      }
    }
    await drain(compressFrames(counted(), []));
    return bytes;
  },
};

const [name = "", input = ""] = process.argv.slice(2);
const part = await loadPart(name);
if (part === undefined) throw new Error(`there is no part ${name}`);
const begin = performance.now();
const before = process.cpuUsage();
const bytes = await part(input);
const { user, system } = process.cpuUsage(before);
const result: PartResult = {
  seconds: (performance.now() - begin) / 1000,
  cpuSeconds: (user + system) / 1e6,
  bytes,
};
process.stdout.write(JSON.stringify(result));
process.exit(0);
