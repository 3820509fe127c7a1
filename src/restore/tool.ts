import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { OperatorError } from "../core/errors.ts";
import { type RestoreArguments, restoreArguments } from "./tool-arguments.ts";
import { type EtcdVersion, parseEtcdVersion } from "../core/etcd/version.ts";
import { execute } from "./execute.ts";

/** etcd's own program that makes a data directory from a snapshot: etcdutl, or etcdctl of etcd 3.4. */
export interface RestoreTool {
  path: string;
  kind: "etcdutl" | "etcdctl";
  version: EtcdVersion;
  /** The version as the tool prints it, such as `3.6.16`. */
  release: string;
  /** Whether it has --bump-revision and --mark-compacted. */
  canBump: boolean;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Where packages and the runbooks install it, searched after PATH. */
const usualFolders = ["/usr/local/bin", "/usr/bin", "/opt/etcd", "/opt/etcd/bin", "/opt/bin"];
const inspectTimeoutMs = 10_000;
const giveTool = "set --etcdutl to the etcdutl of the etcd version that will run on the data";

/**
 * Finds the restore tool: the given program, else the first etcdutl in PATH and the usual folders, else the first
 * etcdctl there. Throws Usage for a program that cannot restore, and NotFound when there is none.
 */
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
    const path = await firstExecutable(folders.map((folder) => join(folder, name)));
    if (path !== undefined) return inspect(path, signal);
  }
  throw new OperatorError("NotFound", "no etcdutl was found in PATH or the usual folders", {
    hint: giveTool,
  });
}

async function executable(given: string, env: Env): Promise<string> {
  const candidates = given.includes("/")
    ? [given]
    : (env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, given));
  const path = await firstExecutable(candidates);
  if (path !== undefined) return path;
  throw new OperatorError("Usage", `--etcdutl ${given} is not an executable program`, {
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
  const timedOut = new OperatorError(
    "Usage",
    `${path} version did not end within ${inspectTimeoutMs / 1000} s`,
    { hint: giveTool },
  );
  const timeout = new AbortController();
  using _ = disposableTimer(() => timeout.abort(timedOut), inspectTimeoutMs);
  const either = AbortSignal.any([signal, timeout.signal]);
  const { output } = await execute(path, ["version"], either);
  const [, kind, release = ""] = /^(etcdutl|etcdctl) version: (\S+)/m.exec(output) ?? [];
  const version = parseEtcdVersion(release);
  if ((kind !== "etcdutl" && kind !== "etcdctl") || version === undefined) {
    throw new OperatorError("Usage", `${path} is neither etcdutl nor etcdctl`, { hint: giveTool });
  }
  const { output: help } = await execute(path, ["snapshot", "restore", "--help"], either);
  if (!help.includes("--initial-cluster-token")) {
    throw new OperatorError("Usage", `${kind} ${release} (${path}) cannot restore a snapshot`, {
      hint: "give --etcdutl FILE: etcd 3.6 and later restore with etcdutl",
    });
  }
  return { path, kind, version, release, canBump: help.includes("--bump-revision") };
}

/** Runs the tool. Throws with the end of its output when it fails. */
export async function runRestore(
  tool: RestoreTool,
  args: RestoreArguments,
  signal: AbortSignal,
): Promise<void> {
  const { code, killedBy, output } = await execute(tool.path, restoreArguments(args), signal);
  if (code === 0) return;
  const command = `${tool.kind} ${tool.release} snapshot restore of ${args.name}`;
  if (killedBy !== null)
    throw new OperatorError("Internal", `${command} was killed by ${killedBy}`, {
      hint: "check the kernel log: the machine may be out of memory",
    });
  const reason = errorLine(output);
  if (/no space left|disk quota exceeded/i.test(reason))
    throw new OperatorError("Refused", `${command}: ${reason}`, {
      hint: "free disk space, then restore again",
    });
  throw new OperatorError(
    /sha256|hash/i.test(reason) ? "VerificationFailed" : "Refused",
    `${command} failed: ${reason || `exit code ${code}`}`,
  );
}

/** The last line that begins with `Error: `, without that, else the last line. etcd's tools log JSON before it. */
function errorLine(output: string): string {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const line = lines.findLast((one) => one.startsWith("Error: ")) ?? lines.at(-1) ?? "";
  return line
    .replace(/^Error: /, "")
    .trim()
    .slice(0, 1000);
}

function disposableTimer(act: () => void, ms: number): Disposable {
  const timer = setTimeout(act, ms);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
