import type { Random } from "../harness/random.ts";
import { retry } from "../support/eventually.ts";
import type { Testbed } from "./testbed.ts";

/** The fields of `spec` that the invariants depend on, and any others. */
export interface BackupSpec {
  deletionPolicy: string;
  timeoutSeconds?: number;
  maxRate?: string;
  [field: string]: unknown;
}

/** What must hold for a created EtcdBackup. */
export interface ExpectedBackup {
  uid: string;
  deletionPolicy: string;
  spec: BackupSpec;
  /** Name of the stored backup, of one that has succeeded. */
  artifact?: string;
  /** The resource was deleted. */
  gone?: boolean;
}

export interface Round {
  number: number;
  random: Random;
  /** By the names of the EtcdBackups that were created, unless resource and stored backup are gone. */
  expected: Map<string, ExpectedBackup>;
  note(text: string): void;
  inflicted(fault: string): void;
  /** Draws no other fault than the one whose name contains this text. */
  only?: string | undefined;
  /** Draws no fault that takes long. */
  isShort: boolean;
}

/** The longest that the API server may take to accept a change, under any fault. */
export const repairSeconds = 150;

/** Creates an EtcdBackup with a random spec. */
export async function create(
  testbed: Testbed,
  round: Round,
  { name, random }: { name: string; random: Random },
): Promise<void> {
  await createBackup(testbed, round, name, randomSpec(random));
}

function randomSpec(random: Random) {
  return {
    compression: random.pick(["Zstd", "None"]),
    deletionPolicy: random.pick(["Retain", "Delete"]),
    verification: {
      readBack: random.oneIn(3),
      hashKV: random.pick(["WhenAvailable", "WhenAvailable", "Skip", "Required"]),
    },
    timeoutSeconds: random.pick([15, 30, 60, 100]),
    backoffLimit: random.pick([0, 1, 3, 8]),
    // A slow backup, so that the faults happen during the backup.
    ...(random.oneIn(2) ? { maxRate: random.pick(["2Mi", "4Mi", "8Mi"]) } : {}),
  };
}

/** Creates an EtcdBackup that the invariants follow. */
export async function createBackup(
  { bench, bucket }: Testbed,
  { expected, note }: Pick<Round, "expected" | "note">,
  name: string,
  spec: BackupSpec,
): Promise<void> {
  const uid = await retry(
    `the API server accepts ${name}`,
    async () => {
      await bench.kube.apply(bench.backupObject(name, bucket, spec));
      return (await bench.kube.backup(name)).metadata.uid;
    },
    repairSeconds,
  );
  expected.set(name, { uid, deletionPolicy: spec.deletionPolicy, spec });
  note(`created ${name} (${uid}) ${JSON.stringify(spec)}`);
}

/** Runs kubectl until the API server accepts it. */
export const kubectl = ({ bench }: Pick<Testbed, "bench">, args: string[]): Promise<string> =>
  retry(
    `the API server accepts ${args.slice(0, 3).join(" ")}`,
    () => bench.api.kubectl([...args, "--request-timeout=10s"]),
    repairSeconds,
  );

export async function remove(testbed: Testbed, name: string, note: (text: string) => void): Promise<void> {
  await kubectl(testbed, ["delete", "etcdbackup", name, "--wait=false", "--ignore-not-found"]);
  note(`deleted ${name}`);
}

export async function changePolicy(testbed: Testbed, { expected, note }: Round, name: string): Promise<void> {
  const entry = expected.get(name);
  if (entry === undefined) return;
  const deletionPolicy = entry.deletionPolicy === "Retain" ? "Delete" : "Retain";
  const patch = JSON.stringify({ spec: { deletionPolicy } });
  await kubectl(testbed, ["patch", "etcdbackup", name, "--type=merge", "-p", patch]);
  entry.deletionPolicy = deletionPolicy;
  note(`${name} has deletionPolicy ${deletionPolicy} now`);
}
