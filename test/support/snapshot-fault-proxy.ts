import { once } from "node:events";
import { setImmediate } from "node:timers/promises";
import {
  Client,
  credentials,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import { bytesField, numberField } from "../testdata/bolt-writer.ts";

/** etcdserverpb.SnapshotResponse, without its header. */
export interface SnapshotMessage {
  /** Bytes of the database that come after this blob. */
  remaining: number;
  blob: Buffer;
}

/** A gRPC proxy in front of one etcd member that alters the member's answers. */
export interface SnapshotFaultProxy extends AsyncDisposable {
  readonly endpoint: string;
  /** Calls of HashKV that the proxy has received. */
  readonly hashCalls: number;
}

export interface SnapshotFaults {
  /** Maps the member's snapshot messages to those that the client gets. An error that it throws ends the stream. */
  snapshot?: (messages: AsyncIterable<SnapshotMessage>) => AsyncIterable<SnapshotMessage>;
  /** HashKV calls are forwarded when this resolves. */
  beforeHash?: () => Promise<void>;
  /** HashKV calls are received and never answered. */
  hashSilent?: boolean;
}

const status = "/etcdserverpb.Maintenance/Status";
const hashKV = "/etcdserverpb.Maintenance/HashKV";
const snapshot = "/etcdserverpb.Maintenance/Snapshot";
const range = "/etcdserverpb.KV/Range";
const memberList = "/etcdserverpb.Cluster/MemberList";

/** Forwards the calls that a backup makes, without TLS. */
export async function startSnapshotFaultProxy(
  target: string,
  faults: SnapshotFaults,
): Promise<SnapshotFaultProxy> {
  const member = new Client(new URL(target).host, credentials.createInsecure());
  const forwarded = [status, hashKV, memberList, range];
  let hashCalls = 0;
  const forward =
    (path: string) => (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
      if (path === hashKV) hashCalls += 1;
      if (path === hashKV && faults.hashSilent === true) return;
      const held = path === hashKV ? faults.beforeHash?.() : undefined;
      const pass = () => void member.makeUnaryRequest(path, asIs, asIs, call.request, answer);
      if (held === undefined) pass();
      else void held.then(pass);
    };
  const stream = async (call: ServerWritableStream<Buffer, Buffer>) => {
    const upstream = member.makeServerStreamRequest(snapshot, asIs, asIs, call.request);
    // The iteration throws a failure of the stream. An error after it, such as our cancellation, is ignored.
    upstream.on("error", () => {});
    const cancelled = once(call, "cancelled").catch(() => {});
    try {
      for await (const bytes of encoded((faults.snapshot ?? ((same) => same))(decoded(upstream)))) {
        if (call.cancelled) return;
        if (!call.write(bytes)) await Promise.race([once(call, "drain"), cancelled]);
      }
      call.end();
    } catch (error) {
      call.emit("error", error);
    } finally {
      upstream.cancel();
    }
  };
  const server = new Server();
  const handlers: [string, UntypedHandleCall][] = forwarded.map((path) => [path, forward(path)]);
  handlers.push([snapshot, (call: ServerWritableStream<Buffer, Buffer>) => void stream(call)]);
  server.addService(
    Object.fromEntries(handlers.map(([path]) => [path, definition(path, path === snapshot)])),
    Object.fromEntries(handlers),
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return {
    endpoint: `http://127.0.0.1:${port}`,
    get hashCalls() {
      return hashCalls;
    },
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
      member.close();
    },
  };
}

/** The messages by which etcd sends a database: blobs of 32 KiB, then the trailer. */
export function* messagesOf(database: Buffer, trailer: Buffer): Generator<SnapshotMessage> {
  for (let at = 0; at < database.length; at += 32_768) {
    const blob = database.subarray(at, at + 32_768);
    yield { remaining: database.length - at - blob.length, blob };
  }
  yield { remaining: 0, blob: trailer };
}

const asIs = (bytes: Buffer): Buffer => bytes;

function definition(path: string, responseStream: boolean) {
  return {
    path,
    requestStream: false,
    responseStream,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}

async function* encoded(messages: AsyncIterable<SnapshotMessage>): AsyncGenerator<Buffer> {
  for await (const { remaining, blob } of messages) {
    // An endless stream would otherwise block the event loop, and with it the client's cancellation.
    await setImmediate();
    yield Buffer.concat([remaining === 0 ? Buffer.alloc(0) : numberField(2, remaining), bytesField(3, blob)]);
  }
}

async function* decoded(messages: AsyncIterable<Buffer>): AsyncGenerator<SnapshotMessage> {
  for await (const message of messages) yield decode(message);
}

/** Reads the fields 2 and 3, and skips the others. */
function decode(message: Buffer): SnapshotMessage {
  const decodedMessage: SnapshotMessage = { remaining: 0, blob: Buffer.alloc(0) };
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message.readUInt8(at);
      at += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const value = varint();
    if (tag === 2 * 8) decodedMessage.remaining = value;
    if (tag % 8 !== 2) continue;
    if (tag === 3 * 8 + 2) decodedMessage.blob = message.subarray(at, at + value);
    at += value;
  }
  return decodedMessage;
}
