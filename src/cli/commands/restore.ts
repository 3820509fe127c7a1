import { asOperatorError, withHint } from "../../core/errors.ts";
import { clusterIdOf } from "../../core/etcd/cluster-id.ts";
import { formatInitialCluster } from "../../restore/initial-cluster.ts";
import { restoreMembers } from "../../restore/restore-members.ts";
import { checkTarget } from "../../restore/target.ts";
import { findRestoreTool } from "../../restore/tool.ts";
import { freshToken } from "../../restore/tool-arguments.ts";
import { parseBackupArgument } from "../backup-argument.ts";
import type { Context } from "../context.ts";
import { wholeNumber } from "../flags.ts";
import { print } from "../output.ts";
import { progress } from "../progress.ts";
import type { RestoreFlags } from "../restore/flags.ts";
import { layoutOf } from "../restore/layout.ts";
import { type RestoreOutput, restoreReport } from "../restore/report.ts";
import { openSource } from "../restore/source.ts";

/** `etcd-backup restore`: creates data directories of a new cluster. After an error each directory is as it was. */
export async function restore(text: string, flags: RestoreFlags, context: Context): Promise<void> {
  const layout = layoutOf(flags);
  const bump = wholeNumber(flags.bumpRevision, "--bump-revision");
  const backup = parseBackupArgument(text, flags);
  const token = flags.initialClusterToken ?? freshToken(context.now());
  const { signal, env, now } = context;
  // The command line is checked first, then this machine, then the store: the quickest correction comes first.
  for (const { target } of layout.members) await checkTarget(target);
  const tool = await findRestoreTool(flags.etcdutl, { env, signal });
  using lines = progress(context, flags);
  await using source = await openSource(backup, context, lines);
  const { revision } = await restoreMembers({
    ...layout,
    source,
    tool,
    token,
    bump,
    now,
    signal,
    onStep(step) {
      if (step.step === "Verified") lines.printLine(`verified    ${source.name}, revision ${step.revision}`);
      if (step.step === "Restoring")
        lines.printLine(`restoring   ${step.member} with ${tool.kind} ${tool.release}`);
    },
  });
  const clusterId = clusterIdOf(token, layout.cluster);
  const isIntroduced = await introduce(source, clusterId, context);
  lines[Symbol.dispose]();
  const result: RestoreOutput = {
    backup: source.name,
    revision,
    nextRevision: bump === 0 ? revision : revision + bump,
    token,
    clusterID: clusterId,
    initialCluster: formatInitialCluster(layout.cluster),
    members: layout.members.map(({ member, target }) => ({ name: member.name, ...target })),
  };
  await print(context, flags.output, result, () =>
    restoreReport(result, { text, kind: backup.kind, flags, layout, isIntroduced }),
  );
}

/** The data is in place by now, so a failure is only a warning. */
async function introduce(
  source: Awaited<ReturnType<typeof openSource>>,
  clusterId: string,
  { stderr, signal }: Context,
): Promise<boolean> {
  if (source.introduce === undefined) return false;
  try {
    await source.introduce(clusterId);
    return true;
  } catch (error) {
    signal.throwIfAborted();
    const why = withHint(asOperatorError(error));
    stderr.write(`warning: the store does not know the new cluster: ${why}\n`);
    return false;
  }
}
