import assert from "node:assert/strict";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import type { Manifest } from "../../src/backup/manifest/manifest.ts";
import { asOperatorError } from "../../src/core/errors.ts";
import { etcdBackup, s3Store } from "../harness/etcd-backup.ts";
import { within } from "../support/eventually.ts";
import { saveDirectly } from "./direct-save.ts";
import { type Fault, seconds } from "./fault.ts";
import type { Testbed } from "./testbed.ts";

const aheadMs = 90 * 86_400_000;

/** A process without a hold stores a backup that its clock names 90 days ahead. */
export const clockAhead: Fault = {
  name: "a backup is stored by a clock that is 90 days ahead",
  on: "clock",
  async inflict(testbed, random, _, { note }) {
    const { bench, bucket, storedAhead } = testbed;
    const runId = random.bytes(6).toString("hex");
    await seconds(random, 0, 5);
    storedAhead.push(runId);
    const saving = saveDirectly(bench, { bucket, runId, now: () => new Date(Date.now() + aheadMs) });
    // Other faults may keep it from its members or its store.
    await saving.then(
      ({ name }) => note(`stored ${name} by a clock that is ahead`),
      (error: unknown) => note(`no backup by a clock that is ahead: ${asOperatorError(error).summary}`),
    );
  },
};

interface Listed {
  name: string;
  manifest?: Manifest;
}

/** `latest` is a backup of the highest revision that the folder's etcd cluster has there, whatever a clock says. */
export async function assertLatest({ bench, bucket }: Testbed, listed: readonly Listed[]): Promise<void> {
  if (listed.length === 0) return;
  const { url, env } = s3Store(bench.s3, bucket);
  const args = ["verify", "latest", "--store", url, "--cluster-name", "prod"];
  const { code, stderr } = await within("verify latest answers", etcdBackup(args, env), 60);
  assert.equal(code, 0, `verify latest has exit code ${code}: ${stderr}`);
  const name = /latest is prod\/(\S+)/.exec(stderr)?.[1];
  const revisionOf = ({ manifest }: Listed) => manifest?.snapshot.revision ?? 0;
  const latest = listed.find((entry) => entry.name === name);
  const highest = Math.max(...listed.map(revisionOf));
  const all = listed.map((entry) => `${entry.name} (${revisionOf(entry)})`).join(", ");
  assert.equal(latest && revisionOf(latest), highest, `revision of the latest, ${name}, of ${all}`);
}

/** Removes the backups of the wrong clock, except the newest. */
export async function removeAhead({ bench, bucket, storedAhead }: Testbed): Promise<void> {
  const old = storedAhead.splice(0, storedAhead.length - 1);
  if (old.length === 0) return;
  const keys = (await bench.objects(bucket)).filter((key) => old.some((runId) => key.includes(runId)));
  for (const Key of keys) await bench.raw.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
}
