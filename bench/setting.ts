import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { openStore } from "../src/store/open.ts";
import { parseStoreUrl } from "../src/store/url.ts";
import type { Store } from "../src/store/store.ts";
import { binary } from "../test/harness/binaries.ts";
import { s3Store } from "../test/harness/etcd-backup.ts";
import { runOrThrow, tempDir } from "../test/harness/process.ts";
import { type S3Server, startS3 } from "../test/harness/s3-server.ts";
import type { Awscli } from "./awscli.ts";
import { type FilledEtcd, startFilledEtcd } from "./filled-etcd.ts";
import { startLink } from "./link.ts";
import type { Options } from "./options.ts";

/** The servers and files that all sections share. */
export interface Setting extends AsyncDisposable {
  readonly options: Options;
  readonly etcd: FilledEtcd;
  readonly s3: S3Server;
  readonly bucket: string;
  /** The URL for `etcd-backup --store`, and the variables with its credentials. */
  readonly store: { url: string; env: Record<string, string> };
  readonly scratch: string;
  readonly aws: Awscli;
  readonly etcdctl: string;
  readonly etcdutl: string;
  /** The path of an `etcdctl snapshot save` of the database, made at the first call. */
  snapshotFile(): Promise<string>;
  /** Call before each measured command: removes all objects from the store, and syncs all file systems. */
  emptyStore(): Promise<void>;
  /** Syncs all file systems, so that no earlier write is pending. */
  syncDisk(): Promise<void>;
}

const bucket = "bench";

export async function createSetting(options: Options, aws: Awscli): Promise<Setting> {
  await using stack = new AsyncDisposableStack();
  const scratch = stack.use(await tempDir("bench")).path;
  const etcd = stack.use(await startFilledEtcd(options.size));
  const server = stack.use(await startS3(options.store));
  await server.createBucket(bucket);
  const s3 =
    options.link === undefined
      ? server
      : { ...server, endpoint: stack.use(await startLink(server.endpoint, options.link / 8)).endpoint };
  const store = s3Store(s3, bucket);
  const opened: Store = await openStore(parseStoreUrl(store.url), { env: store.env });
  stack.defer(() => opened[Symbol.asyncDispose]());
  const etcdctl = await binary("etcdctl");
  const saveFile = async (): Promise<string> => {
    const path = join(scratch, "snapshot.db");
    await runOrThrow(etcdctl, ["--endpoints", etcd.endpoint, "snapshot", "save", path]);
    return path;
  };
  let snapshot: Promise<string> | undefined;
  const started = stack.move();
  return {
    options,
    etcd,
    s3,
    bucket,
    store,
    scratch,
    aws,
    etcdctl,
    etcdutl: await binary("etcdutl"),
    snapshotFile: () => (snapshot ??= saveFile()),
    async emptyStore() {
      const signal = AbortSignal.timeout(60_000);
      for await (const { name } of opened.list("", { signal })) await opened.remove(name, { signal });
      await runOrThrow("sync", []);
    },
    syncDisk: async () => void (await runOrThrow("sync", [])),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

/** Creates a directory for one command's scratch files. */
export async function scratchDirectory(setting: Setting, name: string): Promise<string> {
  const path = join(setting.scratch, name);
  await mkdir(path, { recursive: true });
  return path;
}
