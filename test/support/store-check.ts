import assert from "node:assert/strict";
import { sweepAbandoned } from "../../src/backup/catalog/orphans.ts";
import { openStore } from "../../src/store/open.ts";
import type { StoreConfig } from "../../src/store/kinds.ts";
import { parseStoreUrl } from "../../src/store/url.ts";
import type { Store } from "../../src/store/store.ts";
import { etcdBackup, etcdBackupJson } from "../harness/etcd-backup.ts";
import { filesBelow, isOwnership } from "./files.ts";
import { objectKeys, rawClient, unfinishedUploads } from "./s3-store.ts";

/** How the command line reaches a store directly, without a proxy that breaks requests. */
export interface StoreAccess {
  /** The value of `--store`. */
  url: string;
  env: Record<string, string>;
  /** More flags for `list` and `verify`. */
  args?: string[];
}

export interface StoreContents {
  /** Names of the listed backups, newest first; each has passed `verify`. */
  backups: string[];
  /** Names of everything else, visible or not: data without a manifest, unfinished uploads, temporary files. */
  leftovers: string[];
}

interface Listed {
  name: string;
  clusterName: string;
  problem?: string;
  manifest?: { stored: { object: string } };
}

/**
 * Checks a store after a fault: every listed backup passes `verify`, and the sweeper would delete everything else once
 * it is old enough. With `sweep` the sweeper deletes it now, and then nothing may be left. No run may be under way.
 * Throws AssertionError.
 */
export async function checkStore(
  access: StoreAccess,
  options: { sweep?: boolean } = {},
): Promise<StoreContents> {
  const { url, env, args = [] } = access;
  const listed = await etcdBackupJson<Listed[]>(["list", "--store", url, ...args], env);
  for (const backup of listed) await assertVerifies(backup, access);

  const config = parseStoreUrl(url);
  const leftovers = await leftoversOf(listed, config, env);
  await using store = await openStore(config, { env });
  assert.deepEqual(
    await wouldBeSwept(store),
    leftovers,
    `the sweeper would delete (actual) something other than what no backup needs (expected) in ${url}`,
  );
  if (options.sweep === true) {
    await sweepAbandoned(store, { before: anHourFromNow(), signal: AbortSignal.timeout(60_000) });
    assert.deepEqual(await leftoversOf(listed, config, env), [], `left after the sweep of ${url}`);
  }
  return { backups: listed.map(({ name }) => name), leftovers };
}

/** Checks a store that has to hold this many backups and nothing else. Returns their names, newest first. */
export async function assertHoldsBackups(access: StoreAccess, count: number): Promise<string[]> {
  const { backups, leftovers } = await checkStore(access);
  assert.equal(backups.length, count, `backups in ${access.url}: ${backups.join(", ")}`);
  assert.deepEqual(leftovers, []);
  return backups;
}

async function assertVerifies({ name, clusterName, problem }: Listed, access: StoreAccess): Promise<void> {
  assert.equal(problem, undefined, `${name} is listed with a problem: ${problem}`);
  const which = ["--store", access.url, "--cluster-name", clusterName, ...(access.args ?? [])];
  const { code, stdout, stderr } = await etcdBackup(["verify", name, ...which], access.env);
  assert.equal(code, 0, `${name} is listed and fails verify with exit code ${code}:\n${stdout}${stderr}`);
}

/** Everything in the store that belongs to no listed backup, sorted; without the object of a probe. */
async function leftoversOf(
  listed: readonly Listed[],
  config: StoreConfig,
  env: Record<string, string>,
): Promise<string[]> {
  const needed = new Set(
    listed.flatMap(({ name, clusterName, manifest }) => [
      `${clusterName}/${name}.json`,
      ...(manifest === undefined ? [] : [manifest.stored.object]),
    ]),
  );
  const { objects, unfinished } = await contentsOf(config, env);
  const others = [...objects.filter((name) => !needed.has(name)), ...unfinished];
  return others.filter(isOfBackups).toSorted();
}

/** What is in the store, read without the code under test. `unfinished` has the names that the objects would have got. */
async function contentsOf(
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
      const client = rawClient({ endpoint, region, accessKeyId, secretAccessKey });
      try {
        return {
          objects: below(await objectKeys(client, bucket, folder)),
          unfinished: below(await unfinishedUploads(client, bucket)),
        };
      } finally {
        client.destroy();
      }
    }
    default:
      return config satisfies never;
  }
}

/** What the sweeper would delete once it is old enough: the sweeper runs on a store that only records. */
async function wouldBeSwept(store: Store): Promise<string[]> {
  const swept: string[] = [];
  await sweepAbandoned(
    {
      list: store.list,
      async remove(name) {
        swept.push(name);
      },
      sweep: (prefix, { only = () => true, ...options }) =>
        store.sweep(prefix, {
          ...options,
          only(name) {
            if (only(name)) swept.push(name);
            return false;
          },
        }),
    },
    { before: anHourFromNow(), signal: AbortSignal.timeout(60_000) },
  );
  return swept.filter(isOfBackups).toSorted();
}

/** A running operator may put and remove the object of a probe at any moment, and renews its writer. */
function isOfBackups(name: string): boolean {
  return !name.startsWith(".probe-") && !isOwnership(name);
}

/** Later than every object, even on a server whose clock is ahead. */
function anHourFromNow(): Date {
  return new Date(Date.now() + 3_600_000);
}
