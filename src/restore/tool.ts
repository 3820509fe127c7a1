import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { text } from "node:stream/consumers";
import { OperatorError } from "../core/errors.ts";
import { type EtcdVersion, parseEtcdVersion } from "../core/etcd-version.ts";

/** etcd's own program that turns a snapshot into a data directory: etcdutl, or the etcdctl of 3.4. */
export interface RestoreTool {
  path: string;
  kind: "etcdutl" | "etcdctl";
  version: EtcdVersion;
  /** As it tells it: `3.6.16`. */
  release: string;
  /** Takes --bump-revision and --mark-compacted. */
  canBump: boolean;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Where packages and runbooks put it, should PATH not say. */
const usualFolders = ["/usr/local/bin", "/usr/bin", "/opt/etcd", "/opt/etcd/bin", "/opt/bin"];
const askTimeoutMs = 10_000;
const lastWordsBytes = 16 * 1024;

/** The given program, else the first etcdutl of PATH and the usual folders, else an etcdctl that can still restore. */
export async function findRestoreTool(
  given: string | undefined,
  { env, signal }: { env: Env; signal: AbortSignal },
): Promise<RestoreTool> {
  if (given !== undefined) return inspect(await executable(given, env), signal);
  const folders = [
    ...(env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== ""),
    ...usualFolders,
  ];
  for (const name of ["etcdutl", "etcdctl"]) {
    const found = await firstExecutable(folders.map((folder) => join(folder, name)));
    if (found !== undefined) return inspect(found, signal);
  }
  throw new OperatorError("NotFound", "no etcdutl was found in PATH or the usual folders", {
    hint: "give --etcdutl FILE: the one of the etcd version that is to run on the data",
  });
}

async function executable(given: string, env: Env): Promise<string> {
  const candidates = given.includes("/")
    ? [given]
    : (env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, given));
  const found = await firstExecutable(candidates);
  if (found !== undefined) return found;
  throw new OperatorError("Usage", `--etcdutl ${given} is no program that can be run`, {
    hint: "give the path of etcdutl, or of the etcdctl of etcd 3.4",
  });
}

async function firstExecutable(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const usable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) return path;
  }
  return undefined;
}

async function inspect(path: string, signal: AbortSignal): Promise<RestoreTool> {
  const ask = AbortSignal.any([signal, AbortSignal.timeout(askTimeoutMs)]);
  const told = await output(path, ["version"], ask);
  const [, kind, release = ""] = /^(etcdutl|etcdctl) version: (\S+)/m.exec(told) ?? [];
  const version = parseEtcdVersion(release);
  if ((kind !== "etcdutl" && kind !== "etcdctl") || version === undefined) {
    throw new OperatorError("Usage", `${path} does not say that it is etcdutl or etcdctl`, {
      hint: "give --etcdutl FILE: the one of the etcd version that is to run on the data",
    });
  }
  const help = await output(path, ["snapshot", "restore", "--help"], ask);
  if (!help.includes("--initial-cluster-token")) {
    throw new OperatorError("Usage", `${kind} ${release} (${path}) cannot restore a snapshot`, {
      hint: "etcd moved that to etcdutl: give --etcdutl FILE",
    });
  }
  return { path, kind, version, release, canBump: help.includes("--bump-revision") };
}

export interface RestoreArguments {
  /** Plain snapshot file. */
  snapshot: string;
  dataDir: string;
  walDir?: string;
  name: string;
  peerUrls: string;
  initialCluster: string;
  token: string;
  /** 0: revisions go on from the snapshot's. */
  bump: number;
}

/** What to call the tool with; the same for a process here and for a container. */
export function restoreArguments(args: RestoreArguments): string[] {
  return [
    "snapshot",
    "restore",
    args.snapshot,
    `--name=${args.name}`,
    `--initial-cluster=${args.initialCluster}`,
    `--initial-cluster-token=${args.token}`,
    `--initial-advertise-peer-urls=${args.peerUrls}`,
    `--data-dir=${args.dataDir}`,
    ...(args.walDir === undefined ? [] : [`--wal-dir=${args.walDir}`]),
    ...(args.bump === 0 ? [] : [`--bump-revision=${args.bump}`, "--mark-compacted"]),
  ];
}

/** Runs the tool to its end. Throws with its own last words. */
export async function runRestore(
  tool: RestoreTool,
  args: RestoreArguments,
  signal: AbortSignal,
): Promise<void> {
  const { code, words } = await execute(tool.path, restoreArguments(args), signal);
  signal.throwIfAborted();
  if (code === 0) return;
  const reason = lastWords(words);
  const doing = `${tool.kind} ${tool.release} snapshot restore of ${args.name}`;
  if (/no space left|disk quota exceeded/i.test(reason))
    throw new OperatorError("Refused", `${doing}: ${reason}`, {
      hint: "free disk space, then restore again",
    });
  throw new OperatorError(
    /sha256|hash/i.test(reason) ? "VerificationFailed" : "Refused",
    `${doing} failed: ${reason || `exit code ${code}`}`,
  );
}

/** The error line, or else the last one; etcd's tools log JSON lines before it. */
export function lastWords(words: string): string {
  const lines = words.split("\n").filter((line) => line.trim() !== "");
  const line = lines.findLast((one) => one.startsWith("Error: ")) ?? lines.at(-1) ?? "";
  return line
    .replace(/^Error: /, "")
    .trim()
    .slice(0, 1000);
}

/** Only what a program needs: ETCDCTL_* would count as flags. */
const childEnv = (): Record<string, string> => ({
  PATH: process.env["PATH"] ?? "",
  HOME: process.env["HOME"] ?? "/",
  ETCDCTL_API: "3",
});

async function output(path: string, args: string[], signal: AbortSignal): Promise<string> {
  return (await execute(path, args, signal)).words;
}

async function execute(
  path: string,
  args: string[],
  signal: AbortSignal,
): Promise<{ code: number | null; words: string }> {
  const child = spawn(path, args, { env: childEnv(), stdio: ["ignore", "pipe", "pipe"], signal });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  try {
    const [code, out, err] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
    return { code, words: `${out}\n${err}`.slice(-lastWordsBytes) };
  } catch (error) {
    signal.throwIfAborted();
    const why = error instanceof Error ? error.message : String(error);
    throw new OperatorError("Usage", `${path} cannot be run: ${why}`, {
      hint: "is it built for this machine?",
      cause: error,
    });
  }
}
