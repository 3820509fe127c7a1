import { fileURLToPath } from "node:url";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ApiServer } from "../harness/api-server.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { type BreakingProxy, startBreakingProxy } from "../support/kube-breaking-proxy.ts";
import { type Operator, startOperator } from "../support/operator-process.ts";
import { auditedGroup } from "./audit.ts";
import type { Sent, Stop } from "./leaders.ts";

/** In seconds: short, so that a round has several terms, and long enough for a machine that runs ten servers. */
export const leaseSeconds = 6;

/** One of the two operators: consecutive processes, each with its own name, user and proxy. */
export interface Replica extends AsyncDisposable {
  readonly name: string;
  /** Name of the running process: its user in the API server, holder of the Lease and application in the store. */
  readonly instance: string;
  readonly operator: Operator;
  readonly proxy: BreakingProxy;
  /** Logs of its processes since the last call of `forget`. */
  logs(): string;
  forget(): void;
  /** Ends the process and starts the next one. */
  start(): Promise<void>;
  pause(): void;
  resume(): void;
  /** Sets the clock of its machine ahead by this many milliseconds of the true time. Negative is behind. */
  setClock(aheadMs: number): Promise<void>;
}

const movedClock = fileURLToPath(new URL("moved-clock.ts", import.meta.url));

/** Requests of both operators to the API server, and the ends of their pauses. */
export interface Diary {
  sent: Sent[];
  stops: Stop[];
}

export async function startReplica(api: ApiServer, name: string, diary: Diary): Promise<Replica> {
  await using stack = new AsyncDisposableStack();
  const clockFile = join(stack.use(await tempDir("clock")).path, "ahead");
  const past: string[] = [];
  let count = 0;
  const launch = async () => {
    count += 1;
    const instance = `${name}-${count}`;
    const kubeconfig = await api.userKubeconfig(instance, ["system:masters", auditedGroup]);
    const proxy = await startBreakingProxy(kubeconfig);
    proxy.refuse = (request) => {
      if (/^(PATCH|POST \S+\/etcdbackups\b)/.test(request))
        diary.sent.push({ at: Date.now(), writer: instance, request });
      return undefined;
    };
    try {
      const operator = await startOperator(api, {
        kubeconfig: proxy.kubeconfigPath,
        args: ["--lease-duration", String(leaseSeconds)],
        env: {
          POD_NAME: instance,
          AWS_SDK_UA_APP_ID: instance,
          NODE_OPTIONS: `--import=${movedClock}`,
          CHAOS_CLOCK_FILE: clockFile,
        },
        ready: false,
      });
      return { instance, proxy, operator };
    } catch (error) {
      await proxy[Symbol.asyncDispose]();
      throw error;
    }
  };
  const end = async () => {
    await current.operator[Symbol.asyncDispose]();
    await current.proxy[Symbol.asyncDispose]();
  };
  let current = await launch();
  stack.defer(end);
  const owned = stack.move();
  const withHeading = ({ instance, operator }: typeof current) =>
    `--- ${instance}\n${operator.process.output()}`;
  return {
    name,
    get instance() {
      return current.instance;
    },
    get operator() {
      return current.operator;
    },
    get proxy() {
      return current.proxy;
    },
    logs: () => [...past, withHeading(current)].join("\n"),
    forget: () => void past.splice(0),
    async start() {
      await end();
      past.push(withHeading(current));
      current = await launch();
    },
    pause: () => current.operator.process.pause(),
    resume() {
      diary.stops.push({ writer: current.instance, until: Date.now() });
      current.operator.process.resume();
    },
    async setClock(aheadMs) {
      await writeFile(`${clockFile}.next`, String(aheadMs));
      await rename(`${clockFile}.next`, clockFile);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
