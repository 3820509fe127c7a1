import type { ApiServer } from "../harness/api-server.ts";
import { type BreakingProxy, startBreakingProxy } from "../support/kube-breaking-proxy.ts";
import { type Operator, startOperator } from "../support/operator-process.ts";
import { auditedGroup } from "./audit.ts";
import type { Sent, Stop } from "./leaders.ts";

/** Seconds. Short, so that a round sees several terms; long enough for a machine that is busy with ten servers. */
export const leaseSeconds = 6;

/** One of the two operators: one process after the other, each with a name, a user and a network of its own. */
export interface Replica extends AsyncDisposable {
  readonly name: string;
  /** Of the process now: its user in the API server, its holder in the Lease, its application in the store. */
  readonly instance: string;
  readonly operator: Operator;
  readonly proxy: BreakingProxy;
  /** What its processes logged since the last call of `forget`. */
  logs(): string;
  forget(): void;
  /** After the last one has ended. */
  start(): Promise<void>;
  pause(): void;
  resume(): void;
}

/** What both have sent to the API server, and how they stood still. */
export interface Diary {
  sent: Sent[];
  stops: Stop[];
}

export async function startReplica(api: ApiServer, name: string, diary: Diary): Promise<Replica> {
  const past: string[] = [];
  let count = 0;
  const launch = async () => {
    count += 1;
    const instance = `${name}-${count}`;
    const kubeconfig = await api.userKubeconfig(instance, ["system:masters", auditedGroup]);
    const proxy = await startBreakingProxy(kubeconfig);
    proxy.refuse = (request) => {
      if (request.startsWith("PATCH ")) diary.sent.push({ at: Date.now(), writer: instance, request });
      return undefined;
    };
    try {
      const operator = await startOperator(api, {
        kubeconfig: proxy.kubeconfigPath,
        args: ["--lease-duration", String(leaseSeconds)],
        env: { POD_NAME: instance, AWS_SDK_UA_APP_ID: instance },
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
  const headed = ({ instance, operator }: typeof current) => `--- ${instance}\n${operator.process.output()}`;
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
    logs: () => [...past, headed(current)].join("\n"),
    forget: () => void past.splice(0),
    async start() {
      await end();
      past.push(headed(current));
      current = await launch();
    },
    pause: () => current.operator.process.pause(),
    resume() {
      diary.stops.push({ writer: current.instance, until: Date.now() });
      current.operator.process.resume();
    },
    [Symbol.asyncDispose]: end,
  };
}
