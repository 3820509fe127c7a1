import { type OperatorOptions, runOperator } from "../../operator/run.ts";
import type { Context, GlobalFlags } from "../context.ts";
import { listOf, wholeNumber } from "../flags.ts";
import { usage } from "../usage.ts";
import { toolName, programVersion } from "../version.ts";

export interface OperatorFlags extends GlobalFlags {
  kubeconfig?: string;
  watchNamespaces?: string;
  maxConcurrentBackups: string;
  listen: string;
  hostPathNamespaces?: string;
  ambientCredentialsNamespaces?: string;
  ambientCredentialsEndpoints?: string;
  crossNamespaceEtcdNamespaces?: string;
  loopbackNamespaces?: string;
  leaderElect: boolean;
  leaseName: string;
  leaseDuration: string;
  holdDuration: string;
  image?: string;
}

/** A leader would lose a shorter lease whenever the API server is slow. */
const shortestLeaseSeconds = 3;
/** A shorter hold would end whenever the API server or the store is slow. */
const shortestHoldSeconds = 15;
const longestHoldSeconds = 3600;

/** `etcd-backup operator`: runs until SIGTERM or SIGINT. */
export async function operator(flags: OperatorFlags, context: Context): Promise<void> {
  const { env, now, signal, stdout } = context;
  await runOperator({
    tool: { name: toolName, version: programVersion() },
    kubeconfig: flags.kubeconfig,
    namespaces: listOf(flags.watchNamespaces),
    maxConcurrentBackups: atLeast(1, flags.maxConcurrentBackups, "--max-concurrent-backups"),
    permissions: permissionsOf(flags),
    lease: leaseOf(flags),
    holdMs: holdMsOf(flags),
    image: flags.image,
    listen: flags.listen,
    logLevel: flags.logLevel,
    logTo: stdout,
    env,
    now,
    signal,
  });
}

function leaseOf({ leaderElect, leaseName, leaseDuration }: OperatorFlags): OperatorOptions["lease"] {
  const seconds = atLeast(shortestLeaseSeconds, leaseDuration, "--lease-duration", " seconds");
  return leaderElect ? { name: leaseName, durationMs: seconds * 1000 } : undefined;
}

/** The API accepts an hour at most. */
function holdMsOf({ holdDuration }: OperatorFlags): number {
  const seconds = atLeast(shortestHoldSeconds, holdDuration, "--hold-duration", " seconds");
  if (seconds > longestHoldSeconds)
    throw usage(`--hold-duration must be at most ${longestHoldSeconds} seconds`);
  return seconds * 1000;
}

function permissionsOf(flags: OperatorFlags): OperatorOptions["permissions"] {
  return {
    hostPaths: namespacesOf(flags.hostPathNamespaces),
    ambientCredentials: namespacesOf(flags.ambientCredentialsNamespaces),
    ambientEndpoints: listOf(flags.ambientCredentialsEndpoints).map(endpointOf),
    crossNamespaceEtcd: namespacesOf(flags.crossNamespaceEtcdNamespaces),
    loopback: namespacesOf(flags.loopbackNamespaces),
  };
}

function namespacesOf(text: string | undefined): ReadonlySet<string> | "all" | undefined {
  const names = listOf(text);
  if (names.includes("*")) return "all";
  return names.length > 0 ? new Set(names) : undefined;
}

function endpointOf(text: string): string {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol) && url.hostname !== "" && url.username === "")
    return text;
  throw usage(
    "--ambient-credentials-endpoints has an entry that is not an http or https URL",
    "write it such as https://minio.example.com:9000",
  );
}

function atLeast(least: number, text: string, flag: string, unit = ""): number {
  const value = wholeNumber(text, flag);
  if (value >= least) return value;
  throw usage(`${flag} must be at least ${least}${unit}`);
}
