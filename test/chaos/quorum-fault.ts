import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";
import type { Manifest } from "../../src/backup/manifest/manifest.ts";
import { createBackup } from "./backups.ts";
import { type Fault, seconds } from "./fault.ts";
import type { Testbed } from "./testbed.ts";

/** A time in which one member runs, and no request that the operator sent to it earlier can still be answered. */
export interface QuorumLoss {
  from: number;
  until: number;
  survivor: string;
}

/** Longer than the 5 s that the operator waits for a call to a member. */
const survivorPausedMs = 9_000;

/**
 * One backup streams, and another waits for its turn. A third member is paused and misses writes, then the other two are
 * killed: the stream breaks, and the waiting backup finds a survivor that still names the lost leader. No operator is
 * paused meanwhile, so a call that was under way before the survivor's pause has timed out by its end.
 */
export const quorumLost: Fault = {
  name: "quorum is lost while a backup waits for its turn",
  on: "quorum",
  async inflict(testbed, random, _, round) {
    const { etcd } = testbed.bench;
    const slow = `r${round.number}-slow`;
    const spec = {
      deletionPolicy: "Retain",
      verification: { hashKV: "Skip" },
      timeoutSeconds: 100,
      backoffLimit: 8,
    };
    await createBackup(testbed, round, slow, { ...spec, maxRate: "1Mi" });
    await createBackup(testbed, round, `r${round.number}-next`, { ...spec, timeoutSeconds: 60 });
    const read = await memberRead(testbed, slow);
    const survivor = random.pick(etcd.members.filter(({ name }) => name !== read));
    const others = etcd.members.filter((member) => member !== survivor);
    round.note(`${slow} reads ${read ?? "nothing yet"}; ${survivor.name} survives`);
    survivor.pause();
    const paused = delay(survivorPausedMs);
    const endpoints = others.map(({ endpoint }) => endpoint);
    await etcd.etcdctl(["put", "/acknowledged", `round ${round.number}`], { endpoints }).catch(() => "");
    await paused;
    await Promise.all(others.map((member) => member.kill()));
    await seconds(random, 0, 3);
    const loss = { from: Date.now(), until: Number.POSITIVE_INFINITY, survivor: survivor.name };
    testbed.quorumLosses.push(loss);
    survivor.resume();
    await seconds(random, 3, 8);
    loss.until = Date.now();
    await Promise.all(others.map((member) => member.start()));
  },
};

/** The member that the EtcdBackup reads; undefined when it does not stream within 30 s. */
async function memberRead({ backups }: Testbed, name: string): Promise<string | undefined> {
  const deadline = AbortSignal.timeout(30_000);
  while (!deadline.aborted) {
    const found = (await backups()).find(({ metadata }) => metadata.name === name);
    if (isStreaming(found)) return found?.status.member?.name;
    await delay(250);
  }
  return undefined;
}

function isStreaming(backup: EtcdBackup | undefined): boolean {
  return (backup?.status.progress?.bytes ?? 0) > 0;
}

/** No snapshot that began while one member ran passes for one with quorum. */
export function assertQuorum({ quorumLosses }: Testbed, listed: readonly { manifest?: Manifest }[]): void {
  for (const { manifest } of listed) {
    if (manifest === undefined || manifest.snapshot.withoutQuorum) continue;
    const at = Date.parse(manifest.run.startedAt);
    const loss = quorumLosses.find(({ from, until }) => from <= at && at <= until);
    assert.equal(
      loss,
      undefined,
      `${manifest.name} of ${manifest.owner?.name} was read from ${manifest.member.name} without quorum, and its manifest does not say so`,
    );
  }
}
