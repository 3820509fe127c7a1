import { randomBytes } from "node:crypto";
import { byteRate } from "../../core/byte-rate.ts";
import { checkClusterName } from "../../core/backup/name.ts";
import { type Series, checkSeriesName } from "../../core/backup/series.ts";
import { OperatorError, asOperatorError } from "../../core/errors.ts";
import { describeEqual, describeGroups } from "../../core/etcd/hash-agreement.ts";
import { openCluster } from "../../etcd/cluster.ts";
import type { Manifest } from "../../backup/manifest/manifest.ts";
import { saveSnapshot } from "../../backup/save.ts";
import type { SaveStep } from "../../backup/progress.ts";
import type { Store } from "../../store/store.ts";
import { openStore } from "../../store/open.ts";
import type { Context, GlobalFlags } from "../context.ts";
import {
  type EtcdFlags,
  type OutputFormat,
  type StoreFlags,
  accessOf,
  endpointsOf,
  milliseconds,
  selectionOf,
  storeOf,
} from "../flags.ts";
import { bytes, duration } from "../../core/human.ts";
import { print } from "../output.ts";
import { type Progress, progress } from "../progress.ts";
import { statusTable } from "./status.ts";
import { table } from "../table.ts";
import { usage } from "../usage.ts";
import { toolName, programVersion } from "../version.ts";

export interface SaveFlags extends GlobalFlags, EtcdFlags, StoreFlags {
  compression: "zstd" | "none";
  hashkv: "when-available" | "required" | "skip";
  readBack?: boolean;
  maxRate?: string;
  timeout: string;
  series?: string;
  output: OutputFormat;
}

const hashKVModes = { "when-available": "WhenAvailable", required: "Required", skip: "Skip" } as const;

/**
 * Milliseconds. The operator and `gc` delete data without a manifest, and unfinished uploads, of more than 25 h: a save of
 * the command line must have ended by then. The limit counts by this process's monotonic clock.
 */
const longestTimeoutMs = 24 * 3_600_000;

/** The milliseconds of --timeout. Throws Usage. */
export function timeoutOf({ timeout }: Pick<SaveFlags, "timeout">): number {
  const timeoutMs = milliseconds(timeout, "--timeout");
  if (timeoutMs <= longestTimeoutMs) return Math.ceil(timeoutMs);
  throw usage(
    `--timeout ${timeout} is longer than 24h: an operator at the same store deletes data without a manifest after 25h`,
    "give 24h or less, or read faster (--max-rate)",
  );
}

/** `etcd-backup save`: stores one verified backup. After an error no listing shows a backup. */
export async function save(flags: SaveFlags, context: Context): Promise<void> {
  if (flags.clusterName === undefined || flags.clusterName === "") {
    throw usage(
      "no cluster name was given",
      "add --cluster-name NAME: the store keeps the backups of a cluster under its name",
    );
  }
  const clusterName = checkClusterName(flags.clusterName);
  const maxRate = flags.maxRate === undefined ? undefined : byteRate(flags.maxRate, "--max-rate");
  const timeoutMs = timeoutOf(flags);
  const series = flags.series === undefined ? undefined : { name: checkSeriesName(flags.series) };
  await using store = await openStore(storeOf(flags), { env: context.env });
  const deadline = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([context.signal, deadline]);
  try {
    await saveInto(store, { flags, clusterName, maxRate, series }, { ...context, signal });
  } catch (error) {
    if (!deadline.aborted || context.signal.aborted) throw error;
    throw new OperatorError("Timeout", `the save was stopped after --timeout ${flags.timeout}`, {
      hint: "give a longer --timeout, or look for the slow step in the progress",
      cause: error,
      outcomeUnknown: asOperatorError(error).outcomeUnknown,
    });
  }
}

/** The flags, and what was read from them before anything was opened. */
interface Checked {
  flags: SaveFlags;
  clusterName: string;
  maxRate: number | undefined;
  series: Series | undefined;
}

async function saveInto(
  store: Store,
  { flags, clusterName, maxRate, series }: Checked,
  context: Context,
): Promise<void> {
  // A store that cannot be used is refused before any member gets a request.
  await store.probe({ signal: context.signal, write: false });
  await using cluster = openCluster(endpointsOf(flags), await accessOf(flags));
  let manifest: Manifest;
  {
    using lines = progress(context, flags);
    manifest = await saveSnapshot({
      cluster,
      store,
      clusterName,
      runId: randomBytes(6).toString("hex"),
      selection: selectionOf(flags),
      hashKV: hashKVModes[flags.hashkv],
      compression: flags.compression === "zstd" ? "Zstd" : "None",
      readBack: flags.readBack === true,
      ...(maxRate === undefined ? {} : { maxRate }),
      ...(series === undefined ? {} : { series }),
      timeLimit: { ms: timeoutOf(flags), timeoutName: "--timeout", rateName: "--max-rate" },
      tool: { name: toolName, version: programVersion() },
      now: context.now,
      signal: context.signal,
      onStep: (step) => printStep(step, lines),
    });
  }
  const manifestUrl = `${store.url}/${clusterName}/${manifest.name}.json`;
  await print(
    context,
    flags.output,
    { ...manifest, url: `${store.url}/${manifest.stored.object}`, manifestUrl },
    () => savedReport(manifest, store.url),
  );
}

function printStep(step: SaveStep, lines: Progress): void {
  switch (step.step) {
    case "MemberSelected": {
      const { chosen, reason, withoutQuorum } = step.choice;
      lines.printLine(`member      ${chosen.name || chosen.id} at ${chosen.endpoint}: ${reason}`);
      if (withoutQuorum)
        lines.printLine("warning     the cluster has no quorum: the newest writes may be missing");
      return;
    }
    case "HashPause":
      lines.printLine(`HashKV      --max-rate delays ${step.member} by ${duration(step.ms)}`);
      return;
    case "HashesAgree":
      lines.printLine(`HashKV      ${describeEqual(step)}`);
      return;
    case "HashesDisagree":
      lines.printLine(
        `warning     HashKV differs: ${describeGroups(step.groups)}; ${step.member} is selected by name`,
      );
      return;
    case "HashesUnknown":
      lines.printLine(`HashKV      not compared: ${step.reason}`);
      return;
    case "HashesNotNeeded":
      lines.printLine(`HashKV      not compared: ${step.member} is the only voting member`);
      return;
    case "QuorumNotConfirmed":
      lines.printLine(
        `warning     quorum could not be confirmed after the last byte: ${step.member}: ${step.reason}; there was quorum before the first byte`,
      );
      return;
    case "Streaming":
      lines.update("snapshot  ", step.readBytes, step.totalBytes);
      return;
    case "ReadingBack":
      lines.update("read back ", step.readBytes, step.totalBytes);
      return;
    default:
      step satisfies never;
  }
}

const proofs: Readonly<Record<Manifest["stored"]["proof"], string>> = {
  FullObjectCRC32C: "the store's own CRC-32C of the whole object equals ours",
  PartDigests: "the store accepted each part under its digest",
  ReadBack: "read again after it was written",
};

function savedReport(manifest: Manifest, storeUrl: string): string {
  const { snapshot, stored, run } = manifest;
  const took = duration(Date.parse(run.completedAt) - Date.parse(run.startedAt));
  const facts = [
    ["BACKUP", manifest.name],
    ["OBJECT", `${storeUrl}/${stored.object}`],
    ["STORED", `${bytes(stored.bytes)}${stored.compression === "Zstd" ? ", zstd" : ""}, in ${took}`],
    ["PROOF", `etcd's SHA-256, page structure; ${proofs[stored.proof]}`],
  ];
  const rows = facts.map(([label = "", text = ""]) => [label, text]);
  return `${statusTable(snapshot)}\n${table(rows[0] ?? [], rows.slice(1))}`;
}
