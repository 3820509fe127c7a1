import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { EtcdMember } from "../harness/etcd-cluster.ts";

/**
 * Makes a member's data differ from that of the other members: stops it, changes the first byte of every occurrence of
 * `value` in its database file, and starts it again. A graceful stop writes everything to that file, so no WAL entry
 * overwrites the change.
 */
export async function changeStoredValue(member: EtcdMember, value: string): Promise<void> {
  await member.process.stop();
  const path = join(member.dataDir, "member", "snap", "db");
  const bytes = await readFile(path);
  const first = bytes.indexOf(value);
  assert.ok(first >= 0, "the value is in the database file");
  for (let at = first; at >= 0; at = bytes.indexOf(value, at + 1)) bytes.write("X", at);
  await writeFile(path, bytes);
  await member.start();
}
