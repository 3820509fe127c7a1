import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { hostname } from "node:os";
import type { HostPathNamespaces } from "./connection.ts";
import type { Log } from "../controllers/reconciler.ts";
import { OperatorError } from "../core/errors.ts";
import { type KubeClient, connect } from "../kube/client.ts";
import { type Term, elected, unopposed } from "../kube/leader/election.ts";
import { createEventRecorder } from "../kube/events/recorder.ts";
import { serveHealth } from "../telemetry/health.ts";
import { createLog } from "../telemetry/log.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import type { Context, GlobalFlags } from "../cli/context.ts";
import { count } from "../cli/flags.ts";
import { followResources } from "./metrics.ts";
import { watchResources } from "./resources.ts";
import { work } from "./term.ts";
import { version } from "../cli/version.ts";

export interface OperatorFlags extends GlobalFlags {
  kubeconfig?: string;
  watchNamespaces?: string;
  maxConcurrentBackups: string;
  listen: string;
  hostPathNamespaces?: string;
  leaderElect: boolean;
  leaseName: string;
  leaseDuration: string;
  image?: string;
}

/** Below this an API server under load would cost the leader its lease. */
const shortestLeaseSeconds = 3;

/**
 * `etcd-backup operator`: runs until SIGTERM. It watches all the time, and works on what it sees while it holds the
 * Lease; then it ends its runs in good order, gives the Lease back and returns.
 */
export async function operator(flags: OperatorFlags, context: Context): Promise<void> {
  const limit = count(flags.maxConcurrentBackups, "--max-concurrent-backups");
  if (limit < 1) throw new OperatorError("Usage", "--max-concurrent-backups must be at least 1");
  const leaseSeconds = count(flags.leaseDuration, "--lease-duration");
  if (leaseSeconds < shortestLeaseSeconds) {
    throw new OperatorError("Usage", `--lease-duration must be at least ${shortestLeaseSeconds} seconds`);
  }
  const { signal, env, now } = context;
  const log = createLog({ level: flags.logLevel, destination: context.stdout });
  const metrics = createMetrics();
  const namespaces = namesOf(flags.watchNamespaces);

  await using stack = new AsyncDisposableStack();
  const { kubeconfig } = flags;
  const client = stack.use(await connect({ ...(kubeconfig === undefined ? {} : { kubeconfig }), env }));
  const starting = new Set(["custom resources", ...(flags.leaderElect ? ["the lease"] : [])]);
  const health = stack.use(
    await serveHealth({ address: flags.listen, notReady: () => [...starting], registry: metrics.registry }),
  );
  const { server } = client;
  log.info(
    { version: version(), server, port: health.port, namespaces: flags.watchNamespaces ?? "all" },
    "starting",
  );
  const instance = env["POD_NAME"] ?? hostname();
  const events = stack.use(createEventRecorder(client, { log, instance }));
  const watching = new AbortController();
  stack.defer(() => watching.abort());
  const watched = watchResources(client, { namespaces, log, signal: watching.signal, stack });
  followResources(metrics, watched);
  metrics.leading(false);

  await Promise.race([watched.synced, firing(signal)]);
  if (signal.aborted) {
    log.info({ waitingFor: [...starting] }, "stopped");
    return;
  }
  starting.delete("custom resources");
  log.info({ backups: watched.backups().length, stores: watched.stores().length }, "ready");
  const hostPaths = hostPathNamespaces(flags, context, client);
  const lease = {
    namespace: env["POD_NAMESPACE"] ?? client.namespace,
    name: flags.leaseName,
    // A restarted container is another process with nothing of what the one before it knew.
    identity: `${instance}_${randomUUID()}`,
    durationMs: leaseSeconds * 1000,
    log,
    now,
    onSight: () => starting.delete("the lease"),
  };
  const nextTerm = () => (flags.leaderElect ? elected(client, { ...lease, signal }) : unopposed());
  const working = { client, context, log, events, limit, image: flags.image, hostPaths, metrics, watched };
  await leadInTerms(nextTerm, { log, metrics, signal }, (term) => work(term.fence, working));
  log.info({}, "stopped");
}

/** One term after the other until the signal fires: who has lost the Lease stands by again. */
async function leadInTerms(
  next: () => Promise<Term>,
  { log, metrics, signal }: { log: Log; metrics: ReturnType<typeof createMetrics>; signal: AbortSignal },
  lead: (term: Term) => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    let term: Term;
    try {
      term = await next();
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    await using _ = term;
    log.info({}, "leading");
    metrics.leading(true);
    await lead(term);
    metrics.leading(false);
    log.info({ why: term.fence.closedWhy ?? "stopping" }, "no longer leading");
  }
}

async function firing(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}

function namesOf(list: string | undefined): string[] {
  return (list ?? "").split(",").flatMap((name) => name.trim() || []);
}

/** The operator's own namespace unless told otherwise. */
function hostPathNamespaces(flags: OperatorFlags, { env }: Context, client: KubeClient): HostPathNamespaces {
  const names = namesOf(flags.hostPathNamespaces);
  if (names.includes("*")) return "all";
  return new Set(names.length > 0 ? names : [env["POD_NAMESPACE"] ?? client.namespace]);
}
