import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { hostname } from "node:os";
import { type KubeClient, connect } from "../kube/client.ts";
import { createEventRecorder } from "../kube/events/recorder.ts";
import { type Term, elected, unopposed } from "../kube/leader/election.ts";
import { serveHealth } from "../telemetry/health.ts";
import { createLog } from "../telemetry/log.ts";
import { type Metrics, createMetrics } from "../telemetry/metrics.ts";
import type { KnownWriters } from "../core/store/writer.ts";
import { startInformers } from "./informers.ts";
import { followResources } from "./metrics.ts";
import { type PermissionOptions, permissionsOf } from "./permissions.ts";
import { runTerm } from "./term.ts";

export interface OperatorOptions {
  /** Name and version of this program. */
  tool: { name: string; version: string };
  kubeconfig: string | undefined;
  /** Namespaces to watch; all when empty. */
  namespaces: string[];
  maxConcurrentBackups: number;
  /** What resources may use of the operator itself. */
  permissions: PermissionOptions;
  /** Undefined: no leader election. */
  lease: { name: string; durationMs: number } | undefined;
  /** Milliseconds of silence after which another operator may take over this one's EtcdBackupStores and folders. */
  holdMs: number;
  /** Image of this program, for the Jobs of a restore. */
  image: string | undefined;
  /** host:port of /healthz, /readyz and /metrics. */
  listen: string;
  logLevel: string;
  logTo: { write(line: string): unknown };
  env: Readonly<Record<string, string | undefined>>;
  now: () => Date;
  /** Fires when the process is to stop. */
  signal: AbortSignal;
}

/**
 * Runs the operator until its signal fires. It watches the resources at all times, and reconciles them while it holds
 * the Lease. Before it returns it stops its runs and releases the Lease.
 */
export async function runOperator(options: OperatorOptions): Promise<void> {
  const { namespaces, env, signal } = options;
  const log = createLog({ level: options.logLevel, destination: options.logTo });
  const metrics = createMetrics();
  await using stack = new AsyncDisposableStack();
  const client = stack.use(await connect({ ...kubeconfigOf(options), env }));
  const notReady = new Set(["custom resources", ...(options.lease === undefined ? [] : ["the Lease"])]);
  const health = stack.use(
    await serveHealth({
      address: options.listen,
      notReady: () => [...notReady],
      registry: metrics.registry,
    }),
  );
  log.info(
    {
      version: options.tool.version,
      server: client.server,
      port: health.port,
      namespaces: namespaces.length === 0 ? "all" : namespaces.join(","),
    },
    "starting",
  );
  const instance = env["POD_NAME"] ?? hostname();
  const events = stack.use(createEventRecorder(client, { log, instance }));
  const watching = new AbortController();
  stack.defer(() => watching.abort());
  const informers = startInformers(client, { namespaces, log, signal: watching.signal, stack });
  followResources(metrics, informers);
  metrics.leading(false);

  const { backups, stores, restores, schedules } = informers;
  const synced = Promise.all([backups.synced, stores.synced, restores.synced, schedules.synced]);
  await Promise.race([synced, abortOf(signal)]);
  if (signal.aborted) {
    log.info({ waitingFor: [...notReady] }, "stopped");
    return;
  }
  notReady.delete("custom resources");
  log.info(
    { backups: backups.list().length, stores: stores.list().length, schedules: schedules.list().length },
    "ready",
  );
  const ownNamespace = env["POD_NAMESPACE"] ?? client.namespace;
  const permissions = permissionsOf(options.permissions, ownNamespace);
  const nextTerm = candidacy(client, options, {
    namespace: ownNamespace,
    instance,
    log,
    onLeaseSeen: () => notReady.delete("the Lease"),
  });
  const holder = { lease: `${ownNamespace}/${options.lease?.name ?? "none"}`, durationMs: options.holdMs };
  const writers: KnownWriters = new Map();
  const term = { ...options, holder, writers, client, informers, events, metrics, permissions, log };
  await leadInTerms(nextTerm, { log, metrics, signal }, ({ fence }) => runTerm(fence, term));
  log.info({}, "stopped");
}

type OperatorLog = ReturnType<typeof createLog>;

function kubeconfigOf({ kubeconfig }: OperatorOptions): { kubeconfig?: string } {
  return kubeconfig === undefined ? {} : { kubeconfig };
}

/** Returns the function that waits for the next term: for the Lease, or not at all without leader election. */
function candidacy(
  client: KubeClient,
  { lease, now, signal }: OperatorOptions,
  process: { namespace: string; instance: string; log: OperatorLog; onLeaseSeen: () => void },
): () => Promise<Term> {
  if (lease === undefined) return () => unopposed();
  const { instance, ...rest } = process;
  // A restarted container is another candidate: it has none of the runs of the process before it.
  const identity = `${instance}_${randomUUID()}`;
  return () => elected(client, { ...rest, ...lease, identity, now, signal });
}

/** One term after the other until the signal fires. A leader that lost the Lease stands by again. */
async function leadInTerms(
  next: () => Promise<Term>,
  { log, metrics, signal }: { log: OperatorLog; metrics: Metrics; signal: AbortSignal },
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

async function abortOf(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}
