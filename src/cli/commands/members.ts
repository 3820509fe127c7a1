import { type MemberChoice, type MemberFacts, chooseMember } from "../../core/etcd/member-choice.ts";
import { openCluster } from "../../etcd/cluster.ts";
import { OperatorError } from "../../core/errors.ts";
import type { Context, GlobalFlags } from "../context.ts";
import { type EtcdFlags, type OutputFormat, accessOf, endpointsOf, selectionOf } from "../flags.ts";
import { bytes } from "../../core/human.ts";
import { print } from "../output.ts";
import { table } from "../table.ts";

/** `etcd-backup members`: each member, and which one `save` would read from. Throws NoUsableMember when none is. */
export async function members(
  flags: GlobalFlags & EtcdFlags & { output: OutputFormat },
  context: Context,
): Promise<void> {
  await using cluster = openCluster(endpointsOf(flags), await accessOf(flags));
  const observed = await cluster.observe(context.signal);
  const choice = chooseMember(observed.members, selectionOf(flags));
  await print(context, flags.output, membersResult(observed.clusterId, observed.members, choice), () =>
    membersTable(observed.members, choice),
  );
  if (choice.chosen !== undefined) return;
  throw new OperatorError("NoUsableMember", choice.reason, {
    hint: "read the reason for each member under WHY",
  });
}

function verdict(member: MemberFacts, choice: MemberChoice): string {
  if (member === choice.chosen) return `snapshot: ${choice.reason}`;
  return choice.refusals.find((r) => r.member === member)?.reason ?? "";
}

/** Sizes are in decimal units, as etcdutl prints them, and the lag is in raft entries. */
function membersTable(rows: readonly MemberFacts[], choice: MemberChoice): string {
  const header = [
    "",
    "NAME",
    "ENDPOINT",
    "ID",
    "VERSION",
    "DB SIZE",
    "IN USE",
    "ROLE",
    "TERM",
    "APPLIED",
    "LAG",
    "ALARMS",
    "WHY",
  ];
  const cells = rows.map((m) => {
    const mark = m === choice.chosen ? "*" : "";
    const facts =
      m.error !== undefined
        ? ["-", "-", "-", m.isLearner ? "learner" : "-", "-", "-", "-", "-"]
        : [
            m.version,
            bytes(m.dbSize),
            bytes(m.dbSizeInUse),
            roleOf(m),
            String(m.raftTerm),
            String(m.raftAppliedIndex),
            String(m.lag),
            alarmsOf(m),
          ];
    return [mark, m.name || "-", m.endpoint || "-", m.id || "-", ...facts, verdict(m, choice)];
  });
  return table(header, cells, ["DB SIZE", "IN USE", "TERM", "APPLIED", "LAG"]);
}

function roleOf(m: MemberFacts): string {
  if (m.isLearner) return "learner";
  if (m.leader === "0") return "no leader";
  return m.isLeader ? "leader" : "follower";
}

function alarmsOf(m: MemberFacts): string {
  const own = m.alarms.filter((a) => a.memberId === m.id || a.memberId === "0").map((a) => a.alarm);
  return own.length === 0 ? "-" : [...new Set(own)].join(",");
}

function membersResult(clusterId: string, rows: readonly MemberFacts[], choice: MemberChoice) {
  return {
    clusterID: clusterId,
    snapshotFrom:
      choice.chosen === undefined ? null : { name: choice.chosen.name, endpoint: choice.chosen.endpoint },
    reason: choice.reason,
    withoutQuorum: choice.withoutQuorum,
    members: rows.map((m) => ({ ...m, chosen: m === choice.chosen, why: verdict(m, choice) })),
  };
}
