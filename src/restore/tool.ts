import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { text } from "node:stream/consumers";
import { OperatorError } from "../core/errors.ts";
import { type EtcdVersion, parseEtcdVersion } from "../core/etcd/version.ts";

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
    if (await isProgram(path)) return path;
  }
  return undefined;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

async function inspect(path: string, signal: AbortSignal): Promise<RestoreTool> {
  const hangs = new OperatorError("Usage", `${path} version: no answer for ${askTimeoutMs / 1000} s`, {
    hint: "give --etcdutl FILE: the one of the etcd version that is to run on the data",
  });
  const late = new AbortController();
  using _ = disposableTimer(() => late.abort(hangs), askTimeoutMs);
  const ask = AbortSignal.any([signal, late.signal]);
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

/** A cluster token that no cluster ever had: a member of the old one cannot join. */
export function freshToken(now: Date): string {
  return `restored-${now.toISOString().slice(0, 10)}-${randomBytes(6).toString("hex")}`;
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
  const { code, killedBy, words } = await execute(tool.path, restoreArguments(args), signal);
  if (code === 0) return;
  const doing = `${tool.kind} ${tool.release} snapshot restore of ${args.name}`;
  if (killedBy !== null)
    throw new OperatorError("Internal", `${doing} was killed by ${killedBy}`, {
      hint: "is there enough memory for it? The kernel's log tells",
    });
  const reason = lastWords(words);
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

interface Ended {
  code: number | null;
  killedBy: NodeJS.Signals | null;
  /** The end of what it wrote. */
  words: string;
}

/**
 * Resolves when it has ended, also when it was called off: then throws the signal's reason. In a process group of its
 * own: Ctrl-C reaches us alone, and whatever a wrapper has started ends with it.
 */
async function execute(path: string, args: string[], signal: AbortSignal): Promise<Ended> {
  signal.throwIfAborted();
  const child = spawn(path, args, { env: childEnv(), stdio: ["ignore", "pipe", "pipe"], detached: true });
  const kill = (): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, "SIGKILL");
  };
  signal.addEventListener("abort", kill);
  const ended = new Promise<Pick<Ended, "code" | "killedBy">>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, killedBy) => resolve({ code, killedBy }));
  });
  try {
    const [how, out, err] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
    signal.throwIfAborted();
    return { ...how, words: `${out}\n${err}`.slice(-lastWordsBytes) };
  } catch (error) {
    signal.throwIfAborted();
    const why = error instanceof Error ? error.message : String(error);
    throw new OperatorError("Usage", `${path} cannot be run: ${why}`, {
      hint: "is it built for this machine?",
      cause: error,
    });
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

function disposableTimer(act: () => void, ms: number): Disposable {
  const timer = setTimeout(act, ms);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
