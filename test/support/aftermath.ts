import assert from "node:assert/strict";
import { paginateListObjectsV2 } from "@aws-sdk/client-s3";
import { sweepAbandoned } from "../../src/backup/catalog/orphans.ts";
import { openStore } from "../../src/store/open.ts";
import { type StoreConfig, parseStoreUrl } from "../../src/store/url.ts";
import type { Store } from "../../src/store/store.ts";
import { etcdBackup, etcdBackupJson } from "../harness/etcd-backup.ts";
import { filesBelow } from "./sample-data.ts";
import { rawClient, unfinishedUploads } from "./s3-store.ts";

/** A store as the command line gets to it, with nothing in between that breaks requests. */
export interface StoreAccess {
  /** As `--store` takes it. */
  url: string;
  env: Record<string, string>;
  /** More flags for `list` and `verify`. */
  args?: string[];
}

/** What a fault left in a store. */
export interface Aftermath {
  /** Names of the backups that are listed, newest first; each has passed `verify`. */
  backups: string[];
  /** Names of what lies there besides, visible or not: data without a manifest, unfinished uploads, temporary files. */
  leftovers: string[];
}

interface Listed {
  name: string;
  clusterName: string;
  problem?: string;
  manifest?: { stored: { object: string } };
}

/**
 * The questions after every fault: does everything that is listed pass `verify`, and is what lies there besides of a
 * kind that the sweeper takes once it is old enough? With `sweep` it takes it at once, and then nothing may be left.
 * No run may be under way. Throws AssertionError with what was found.
 */
export async function aftermath(access: StoreAccess, options: { sweep?: boolean } = {}): Promise<Aftermath> {
  const { url, env, args = [] } = access;
  const listed = await etcdBackupJson<Listed[]>(["list", "--store", url, ...args], env);
  for (const backup of listed) await passesVerify(backup, access);

  const config = parseStoreUrl(url);
  const leftovers = await liesBeside(listed, config, env);
  await using store = await openStore(config, { env });
  assert.deepEqual(
    await wouldBeSwept(store),
    leftovers,
    `of what lies beside the backups (expected), the sweeper would take another part (actual) in ${url}`,
  );
  if (options.sweep === true) {
    await sweepAbandoned(store, { before: inFuture(), signal: AbortSignal.timeout(60_000) });
    assert.deepEqual(await liesBeside(listed, config, env), [], `left by the sweeper in ${url}`);
  }
  return { backups: listed.map(({ name }) => name), leftovers };
}

async function passesVerify({ name, clusterName, problem }: Listed, access: StoreAccess): Promise<void> {
  assert.equal(problem, undefined, `${name} is listed, and cannot be trusted: ${problem}`);
  const which = ["--store", access.url, "--cluster-name", clusterName, ...(access.args ?? [])];
  const { code, stdout, stderr } = await etcdBackup(["verify", name, ...which], access.env);
  assert.equal(code, 0, `${name} is listed, and fails verify with exit code ${code}:\n${stdout}${stderr}`);
}

/** Everything in the store that belongs to no listed backup, in order; a probe's small object is let be. */
async function liesBeside(
  listed: readonly Listed[],
  config: StoreConfig,
  env: Record<string, string>,
): Promise<string[]> {
  const accounted = new Set(
    listed.flatMap(({ name, clusterName, manifest }) => [
      `${clusterName}/${name}.json`,
      ...(manifest === undefined ? [] : [manifest.stored.object]),
    ]),
  );
  const { objects, unfinished } = await lookInto(config, env);
  const beside = [...objects.filter((name) => !accounted.has(name)), ...unfinished];
  return beside.filter(isNoProbe).toSorted();
}

/** What is in the store by other means than ours; `unfinished` under the names that it was to become. */
async function lookInto(
  config: StoreConfig,
  env: Record<string, string>,
): Promise<{ objects: string[]; unfinished: string[] }> {
  switch (config.kind) {
    case "file": {
      const files = await filesBelow(config.path);
      const temporary = files.map((name) => /^(.*\/)?\.([^/~]+)~[0-9a-f]+\.part$/.exec(name));
      return {
        objects: files.filter((_, i) => temporary[i] === null),
        unfinished: temporary.flatMap((match) => (match === null ? [] : [`${match[1] ?? ""}${match[2]}`])),
      };
    }
    case "s3": {
      const { bucket, prefix, endpoint = "", region = "us-east-1" } = config;
      const folder = prefix === "" ? "" : `${prefix}/`;
      const below = (keys: readonly string[]) =>
        keys.filter((key) => key.startsWith(folder)).map((key) => key.slice(folder.length));
      const { AWS_ACCESS_KEY_ID: accessKeyId = "", AWS_SECRET_ACCESS_KEY: secretAccessKey = "" } = env;
      using client = disposable(rawClient({ endpoint, region, accessKeyId, secretAccessKey }));
      const keys: string[] = [];
      for await (const page of paginateListObjectsV2(
        { client: client.of },
        { Bucket: bucket, Prefix: folder },
      ))
        keys.push(...(page.Contents ?? []).map(({ Key = "" }) => Key));
      return { objects: below(keys), unfinished: below(await unfinishedUploads(client.of, bucket)) };
    }
    default:
      return config satisfies never;
  }
}

function disposable<T extends { destroy(): void }>(client: T): { of: T } & Disposable {
  return { of: client, [Symbol.dispose]: () => client.destroy() };
}

/** What the sweeper takes once it is old enough, found out by the sweeper itself on a store that only takes notes. */
async function wouldBeSwept(store: Store): Promise<string[]> {
  const taken: string[] = [];
  await sweepAbandoned(
    {
      list: store.list,
      async remove(name) {
        taken.push(name);
      },
      sweep: (prefix, { only = () => true, ...options }) =>
        store.sweep(prefix, {
          ...options,
          only(name) {
            if (only(name)) taken.push(name);
            return false;
          },
        }),
    },
    { before: inFuture(), signal: AbortSignal.timeout(60_000) },
  );
  return taken.filter(isNoProbe).toSorted();
}

/** An operator that lives may put and remove one at any moment. */
function isNoProbe(name: string): boolean {
  return !name.startsWith(".probe-");
}

/** An hour, for servers whose clock is ahead. */
function inFuture(): Date {
  return new Date(Date.now() + 3_600_000);
}
