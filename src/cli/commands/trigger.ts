import { randomBytes } from "node:crypto";
import timers from "node:timers/promises";
import { OperatorError } from "../../core/errors.ts";
import { type Triggered, openSchedules } from "../../operator/schedules.ts";
import { ExitWith, type Context, type GlobalFlags } from "../context.ts";
import { type OutputFormat, milliseconds } from "../flags.ts";
import { print } from "../output.ts";
import { progress } from "../progress.ts";
import { table } from "../table.ts";

export interface TriggerFlags extends GlobalFlags {
  namespace?: string;
  kubeconfig?: string;
  wait?: boolean;
  timeout: string;
  output: OutputFormat;
}

/** Milliseconds between two looks at the EtcdBackup. */
const lookEveryMs = 1_000;

/** `etcd-backup trigger`: makes one more backup of an EtcdBackupSchedule, and waits for its end with --wait. */
export async function trigger(name: string, flags: TriggerFlags, context: Context): Promise<void> {
  const { env, signal, now } = context;
  const timeoutMs = milliseconds(flags.timeout, "--timeout");
  await using schedules = await openSchedules({ ...flags, env });
  const token = `${now().toISOString()} ${randomBytes(4).toString("hex")}`;
  const triggered = await schedules.trigger(name, token, signal);
  if (flags.wait !== true) {
    await print(context, flags.output, triggered, () => shown(triggered));
    return;
  }
  const deadline = AbortSignal.timeout(timeoutMs);
  const ended = await untilEnded(
    triggered,
    { ...context, signal: AbortSignal.any([signal, deadline]) },
    flags,
    schedules.look,
  );
  if (ended === undefined) {
    signal.throwIfAborted();
    throw new OperatorError(
      "Timeout",
      `EtcdBackup ${triggered.backup} has not ended within --timeout ${flags.timeout}`,
      {
        permanent: false,
        hint: `see kubectl describe etcdbackupschedule ${name} -n ${triggered.namespace}: the operator may not run, the schedule may be invalid, or another backup of it still runs`,
      },
    );
  }
  await print(context, flags.output, ended, () => shown(ended));
  if (ended.succeeded !== true)
    throw new ExitWith(1, `EtcdBackup ${ended.backup} failed: ${ended.message ?? "no reason is given"}`);
}

/** Undefined when the time is over. */
async function untilEnded(
  triggered: Triggered,
  context: Context,
  flags: TriggerFlags,
  look: (triggered: Triggered, signal: AbortSignal) => Promise<Triggered>,
): Promise<Triggered | undefined> {
  using lines = progress(context, flags);
  let told = "";
  try {
    for (;;) {
      const seen = await look(triggered, context.signal);
      if (seen.succeeded !== undefined) return seen;
      const text = seen.message ?? "the operator has not created it yet";
      if (text !== told) lines.printLine(`${triggered.backup}  ${text}`);
      told = text;
      await timers.setTimeout(lookEveryMs, undefined, { signal: context.signal });
    }
  } catch (error) {
    if (context.signal.aborted) return undefined;
    throw error;
  }
}

function shown({ namespace, backup, succeeded, stored, message }: Triggered): string {
  const state = succeeded === undefined ? "triggered" : succeeded ? "Succeeded" : "Failed";
  const rows = [
    ["NAMESPACE", namespace],
    ["STATE", state],
    ...(stored === undefined
      ? []
      : [
          ["STORED", stored.name],
          ["REVISION", String(stored.revision)],
          ["SIZE", `${stored.size}, in ${stored.duration}`],
        ]),
    ...(message === undefined ? [] : [["MESSAGE", message]]),
  ];
  return table(["ETCDBACKUP", backup], rows);
}
