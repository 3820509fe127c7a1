import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { OperatorError } from "../core/errors.ts";
import { openSnapshotStream } from "./snapshot-stream.ts";

interface Message {
  remaining_bytes: string;
  blob: Uint8Array;
}

const database = randomBytes(100_000);
const trailer = createHash("sha256").update(database).digest();
const endpoint = "https://m0:2379";

/** What etcd sends: blobs of at most 32 KiB, each with the bytes that remain after it, then the trailer. */
function completeMessages(): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < database.length; at += 32_768) {
    const blob = database.subarray(at, at + 32_768);
    messages.push({ remaining_bytes: String(database.length - at - blob.length), blob });
  }
  return [...messages, { remaining_bytes: "0", blob: trailer }];
}

/** A member that sends these messages, and then ends, throws, or (`silent`) sends nothing more. */
function member(messages: Message[], end: "ends" | "silent" | Error = "ends") {
  const state = { cancelled: 0 };
  async function* send(): AsyncGenerator<Message> {
    yield* messages;
    if (end === "silent") await new Promise(() => {});
    if (end instanceof Error) throw end;
  }
  const start = async () =>
    Object.assign(send(), {
      cancel() {
        state.cancelled += 1;
      },
    });
  return { start, state };
}

async function read(
  from: ReturnType<typeof member>,
  options: { signal?: AbortSignal; stallMs?: number } = {},
): Promise<Buffer> {
  await using stream = await openSnapshotStream(from.start, {
    endpoint,
    signal: options.signal ?? new AbortController().signal,
    ...(options.stallMs === undefined ? {} : { stallMs: options.stallMs }),
  });
  return Buffer.concat(await Array.fromAsync(stream.chunks));
}

async function rejects(reading: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  await assert.rejects(reading, (error) => {
    assert.ok(error instanceof OperatorError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert.ok(error.message.includes(endpoint), "it names the member");
    return true;
  });
}

test("the total is known first, then the bytes come in order with the trailer, in chunks of about 1 MiB", async () => {
  const from = member(completeMessages());
  await using stream = await openSnapshotStream(from.start, {
    endpoint,
    signal: new AbortController().signal,
  });
  assert.equal(stream.totalBytes, database.length);
  const chunks = await Array.fromAsync(stream.chunks);
  assert.equal(chunks.length, 1);
  assert.ok(Buffer.concat([database, trailer]).equals(Buffer.concat(chunks)));
});

test("an empty blob with bytes remaining, which hides a read error of the member, fails at once", async () => {
  const messages = completeMessages().slice(0, 2);
  const left = messages.at(-1)?.remaining_bytes ?? "";
  const from = member([
    ...messages,
    ...Array.from({ length: 1000 }, () => ({ remaining_bytes: left, blob: Buffer.alloc(0) })),
  ]);
  await rejects(read(from), "SnapshotFailed", new RegExp(`stopped sending ${left} bytes before the end`));
  assert.ok(from.state.cancelled > 0);
});

test("an empty blob at the very end is not a failure", async () => {
  const messages = completeMessages();
  const from = member([...messages, { remaining_bytes: "0", blob: Buffer.alloc(0) }]);
  assert.equal((await read(from)).length, database.length + 32);
});

const inconsistencies: [string, (messages: Message[]) => Message[], RegExp][] = [
  ["a stream that ends before its first byte", () => [], /ended before its first byte/],
  ["a stream that ends early", (all) => all.slice(0, 2), /ended after 65536 of 100032 bytes/],
  ["a stream without trailer", (all) => all.slice(0, -1), /trailer is missing/],
  ["a message that is lost", (all) => all.toSpliced(1, 1), /reports \d+ remaining of 100000/],
  [
    "a message that comes twice",
    (all) => all.toSpliced(1, 0, ...all.slice(1, 2)),
    /reports \d+ remaining of 100000/,
  ],
  [
    "a trailer of another length",
    (all) => [...all.slice(0, -1), { remaining_bytes: "0", blob: trailer.subarray(1) }],
    /remaining of 100000/,
  ],
  [
    "more bytes after the trailer",
    (all) => [...all, { remaining_bytes: "0", blob: trailer }],
    /remaining of 100000/,
  ],
  [
    "a size that is not a safe integer",
    () => [{ remaining_bytes: "99999999999999999999", blob: Buffer.alloc(1) }],
    /announces/,
  ],
];

for (const [what, alter, message] of inconsistencies) {
  test(`${what} is SnapshotFailed, and the stream is cancelled`, async () => {
    const messages = alter(completeMessages());
    const from = member(messages);
    await rejects(read(from), "SnapshotFailed", message);
    assert.ok(from.state.cancelled > 0 || messages.length === 0);
  });
}

test("a member that stops sending is SnapshotFailed after the stall timeout, before the first byte and after it", async () => {
  for (const sent of [0, 1, 3]) {
    const from = member(completeMessages().slice(0, sent), "silent");
    await rejects(read(from, { stallMs: 20 }), "SnapshotFailed", /no data for 0.02 s/);
    assert.ok(from.state.cancelled > 0, "the stream is cancelled");
  }
});

test("a slow consumer does not count as a stalled member", async () => {
  const from = member(completeMessages());
  await using stream = await openSnapshotStream(from.start, {
    endpoint,
    signal: new AbortController().signal,
    stallMs: 5,
  });
  let bytes = 0;
  for await (const chunk of stream.chunks) {
    await new Promise((resolve) => setTimeout(resolve, 30));
    bytes += chunk.length;
  }
  assert.equal(bytes, database.length + 32);
});

test("an abort is thrown as its reason, even while the member sends nothing", {
  timeout: 10_000,
}, async () => {
  const reason = new OperatorError("Aborted", "stopped by Ctrl-C");
  for (const sent of [0, 2]) {
    const abort = new AbortController();
    const from = member(completeMessages().slice(0, sent), "silent");
    const reading = read(from, { signal: abort.signal, stallMs: 1_000_000 });
    setImmediate(() => abort.abort(reason));
    await assert.rejects(reading, (error) => error === reason);
    assert.ok(from.state.cancelled > 0);
  }
});

test("a connection that breaks is classified, and names the member", async () => {
  const broken = new Error("14 UNAVAILABLE: read ECONNRESET");
  await rejects(
    read(member(completeMessages().slice(0, 2), broken)),
    "Unreachable",
    /snapshot at .*ECONNRESET/,
  );
});

test("a stream that is disposed of before its end is cancelled", async () => {
  const from = member(completeMessages());
  {
    await using _ = await openSnapshotStream(from.start, { endpoint, signal: new AbortController().signal });
  }
  assert.equal(from.state.cancelled, 1);
});
