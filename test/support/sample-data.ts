import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { EtcdCluster } from "../harness/etcd-cluster.ts";
import type { RunningProcess } from "../harness/process.ts";

/** A text that every value of `fill` begins with. */
export const marker = "the-beginning-of-a-value";

/** Writes values that do not shrink, of about a megabyte each. */
export async function fill(cluster: EtcdCluster, megabytes: number): Promise<void> {
  for (let i = 0; i < megabytes; i += 1) {
    await cluster.etcdctl(["put", `/fill/${i}`], { input: marker + randomBytes(500_000).toString("hex") });
  }
}

/** Every file below a directory, hidden ones too, relative to it and in order. */
export async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .toSorted();
}

/** Asks again and again until something has come about, for 20 s at most. */
export async function eventually(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = AbortSignal.timeout(20_000);
  while (!(await condition())) {
    if (deadline.aborted) throw new Error(`it never came about: ${what}`);
    await delay(20);
  }
}

/** What happens while a program runs; throws with its output when it ends before. */
export async function during<T>(run: RunningProcess, event: Promise<T>): Promise<T> {
  const ended = run.exited.then(({ code }) => {
    throw new Error(`it ended too early, with exit code ${code}:\n${run.output()}`);
  });
  return Promise.race([event, ended]);
}
