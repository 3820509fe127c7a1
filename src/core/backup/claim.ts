import { OperatorError } from "../errors.ts";
import { duration } from "../human.ts";

/** One etcd cluster whose backups a folder holds. A restored cluster has a new ID, so a folder's etcd has a lineage. */
export interface Ancestor {
  /** etcd's cluster ID, hex. */
  id: string;
  /**
   * Number of the claim before which the folder holds no backup of it: the one that let it in. 0: it may hold any, since
   * it was not always refused.
   */
  number: number;
  /** When that claim was written, RFC 3339, by the clock of whoever wrote it. Absent with the number 0. */
  since?: string;
  /** The backup that it was restored from. Absent for the first cluster, and where a person decided. */
  restoredFrom?: string;
}

/**
 * To whom the folder `<cluster>/` of a store belongs. Each claim is an object of its own, put under the next number, so
 * of two writers that want the same change one succeeds. The one with the highest number counts.
 */
export interface Claim {
  number: number;
  /** Oldest first; never empty. The last is the cluster whose backups `latest` names. */
  lineage: readonly Ancestor[];
  /**
   * The operator that may write and delete here. Absent: only command lines have written, or a person gave it up. They
   * need no hold, and delete only where nobody has one.
   */
  writer?: ClaimWriter;
  /** RFC 3339, by the clock of whoever wrote it. Only for people. */
  since: string;
  /** Why it was written, for people. */
  reason: string;
}

export interface ClaimWriter {
  id: string;
  /** What writes, for people: an EtcdBackupStore by namespace and name. */
  who: string;
  /**
   * It took the folder from another writer that was silent. That one may return, so this one deletes nothing that was
   * stored before, until `silenceIsDeathMs` have passed.
   */
  bySilence?: boolean;
}

/** Milliseconds after which a writer that lost a folder by its silence is taken for gone. */
export const silenceIsDeathMs = 7 * 24 * 3_600_000;

/** A writer as it knows itself: its resource in Kubernetes holds these. `renewal`: how often it has renewed. */
export interface WriterIdentity extends ClaimWriter {
  renewal: number;
  nonce: string;
}

/** One renewal of a writer. */
export type Renewal = Pick<WriterIdentity, "id" | "renewal" | "nonce">;

/** The newest sign of life of a writer in the store. */
export interface Heartbeat extends Renewal {
  /** Milliseconds since then, by the store's clock alone. Infinity is allowed. */
  silentMs: number;
  /** Milliseconds of silence after which another writer may take over what it holds. */
  holdMs: number;
}

/** The cluster `id` was restored from `backup`, which was of cluster `of`. A restore records it in the folder. */
export interface Succession {
  id: string;
  of: string;
  backup: string;
}

/** What the folder shows to whoever wants to store a backup in it. */
export interface ObservedFolder {
  claim: Claim | undefined;
  /** Without a claim: the etcd cluster ID of the newest backup, if there is one. */
  unclaimedBackupsOf?: string;
  /** How the cluster that is backed up came into being, if a restore recorded it here. */
  succession?: Succession;
  /** Whether a backup of the present cluster was stored after that restore was recorded: then it is still alive. */
  isPredecessorInUse?: boolean;
  /** All signs of life of the claim's writer and of the asking one. */
  heartbeats: readonly Heartbeat[];
}

/** `clusterId`: hex. `writer` absent: a command line. */
export interface Entrant {
  clusterName: string;
  clusterId: string;
  writer: WriterIdentity | undefined;
  now: Date;
}

/** `enter`: the folder belongs to the entrant. `claim`: it will, once this claim is put. */
export type Admission =
  | { is: "entered" }
  | { is: "claim"; next: Claim }
  | { is: "refused"; error: OperatorError };

/** Decides whether a backup of this etcd cluster may be stored in the folder. */
export function admit(folder: ObservedFolder, entrant: Entrant): Admission {
  const { claim } = folder;
  const { writer } = entrant;
  const refusal = refusalOf(folder, entrant);
  if (refusal !== undefined) return { is: "refused", error: refusal };
  const current = claim?.lineage.at(-1)?.id;
  const isHeld = writer === undefined || claim?.writer?.id === writer.id;
  if (claim !== undefined && current === entrant.clusterId && isHeld) return { is: "entered" };
  return { is: "claim", next: nextClaim(folder, entrant) };
}

function refusalOf(folder: ObservedFolder, entrant: Entrant): OperatorError | undefined {
  const { clusterId, writer, clusterName } = entrant;
  const stranger = strangerOf(folder, entrant);
  if (stranger !== undefined) return stranger;
  const { claim, heartbeats } = folder;
  if (writer !== undefined) {
    const copy = whyCopy(writer, heartbeats);
    if (copy !== undefined) return copy;
  }
  const isCurrent = claim === undefined || claim.lineage.at(-1)?.id === clusterId;
  // A command line does not delete in a held folder, so beside a living writer it may add backups of the same cluster.
  return writer === undefined && isCurrent
    ? undefined
    : heldByOther(claim, { clusterName, writer, heartbeats });
}

/** The command by which a person gives the folder to a cluster, and to a writer. */
export function takeCommand(clusterName: string, clusterId: string | undefined, writer?: string): string {
  const holder = writer === undefined ? "" : ` --writer ${writer}`;
  return `etcd-backup claim take --cluster-name ${clusterName} --etcd-cluster-id ${clusterId}${holder}`;
}

/** What to do about a folder that belongs to another cluster. */
export function settleHint(clusterName: string, clusterId: string | undefined): string {
  return `back up under another cluster name, or give the folder to this cluster: ${takeCommand(clusterName, clusterId)}`;
}

/** Undefined for a cluster of the lineage's end, or one that was restored from a backup of the lineage. */
function strangerOf(
  { claim, succession, isPredecessorInUse, unclaimedBackupsOf }: ObservedFolder,
  { clusterId, clusterName }: Entrant,
): OperatorError | undefined {
  const refuse = (why: string) =>
    new OperatorError("FolderClaimed", `the folder ${clusterName} ${why}`, {
      permanent: true,
      hint: settleHint(clusterName, clusterId),
    });
  const lineage = claim?.lineage ?? [];
  const current = lineage.at(-1)?.id ?? unclaimedBackupsOf;
  if (current === undefined || current === clusterId) return undefined;
  if (lineage.some(({ id }) => id === clusterId)) {
    const { restoredFrom } = lineage.at(-1) ?? {};
    const how = restoredFrom === undefined ? "as a person decided" : `restored from ${restoredFrom}`;
    return refuse(`belongs to etcd cluster ${current}, which has replaced this one (${clusterId}), ${how}`);
  }
  const isRestored =
    succession?.id === clusterId && [current, ...lineage.map(({ id }) => id)].includes(succession.of);
  if (!isRestored) return refuse(`belongs to etcd cluster ${current}, and this is cluster ${clusterId}`);
  if (isPredecessorInUse !== true) return undefined;
  return refuse(
    `belongs to etcd cluster ${current}, which is still backed up: this cluster (${clusterId}) is a restored copy of it`,
  );
}

/**
 * Why a writer may write nothing: somebody else renews under its ID, as happens when the Kubernetes cluster was restored
 * from a backup and the original still runs. Of two renewals with one number the smaller nonce counts.
 */
export function whyCopy(writer: WriterIdentity, heartbeats: readonly Renewal[]): OperatorError | undefined {
  if (!isCopy(writer, heartbeats)) return undefined;
  return new OperatorError(
    "FolderClaimed",
    `another operator renews writer ${writer.id} of ${writer.who}: this Kubernetes cluster is a copy of another one`,
    { permanent: false, hint: "the next probe of the EtcdBackupStore gives it a writer of its own" },
  );
}

/** Whether another process renews this writer. */
export function isCopy({ id, renewal, nonce }: Renewal, heartbeats: readonly Renewal[]): boolean {
  return heartbeats.some(
    (beat) => beat.id === id && (beat.renewal > renewal || (beat.renewal === renewal && beat.nonce < nonce)),
  );
}

/** Undefined when nobody else holds the folder, or its holder has been silent for so long that it may be replaced. */
export function heldByOther(
  claim: Claim | undefined,
  {
    clusterName,
    writer,
    heartbeats,
  }: { clusterName: string; writer: WriterIdentity | undefined; heartbeats: readonly Heartbeat[] },
): OperatorError | undefined {
  const holder = claim?.writer;
  if (holder === undefined || holder.id === writer?.id) return undefined;
  const beat = newestBeat(holder.id, heartbeats);
  if (beat === undefined || beat.silentMs >= beat.holdMs) return undefined;
  return new OperatorError(
    "FolderClaimed",
    `the folder ${clusterName} is held by ${holder.who} (writer ${holder.id}), which is alive; another may take it over when that writer has been silent for ${duration(beat.holdMs)}`,
    {
      permanent: false,
      hint: `if that one must not go on, stop it; see etcd-backup claim show --cluster-name ${clusterName}`,
    },
  );
}

/** Milliseconds until the holder may be replaced if it stays silent. 0 without a holder that is known to live. */
export function freeInMs(claim: Claim | undefined, heartbeats: readonly Heartbeat[]): number {
  const beat = claim?.writer === undefined ? undefined : newestBeat(claim.writer.id, heartbeats);
  return beat === undefined ? 0 : Math.max(0, beat.holdMs - beat.silentMs);
}

export function newestBeat(id: string, heartbeats: readonly Heartbeat[]): Heartbeat | undefined {
  return heartbeats.filter((beat) => beat.id === id).toSorted((a, b) => b.renewal - a.renewal)[0];
}

/** Ancestors that a claim lists at most. A folder sees one more with each restore. */
const longestLineage = 100;

function nextClaim({ claim, unclaimedBackupsOf, succession }: ObservedFolder, entrant: Entrant): Claim {
  const { clusterId, writer, now } = entrant;
  const number = (claim?.number ?? 0) + 1;
  const before: Ancestor[] =
    claim !== undefined
      ? [...claim.lineage]
      : unclaimedBackupsOf === undefined
        ? []
        : [{ id: unclaimedBackupsOf, number: 0 }];
  const isSame = before.at(-1)?.id === clusterId;
  const restoredFrom = succession?.id === clusterId ? { restoredFrom: succession.backup } : {};
  // Only a folder with a claim has refused the backups of a cluster that was not let in.
  const entry = claim === undefined ? { number: 0 } : { number, since: now.toISOString() };
  const lineage = isSame ? before : [...before, { id: clusterId, ...entry, ...restoredFrom }];
  const holder = writer === undefined ? undefined : holderOf(claim, writer);
  return {
    number,
    lineage: lineage.slice(-longestLineage),
    ...(holder === undefined ? {} : { writer: holder }),
    since: now.toISOString(),
    reason: reasonOf(claim, entrant, isSame),
  };
}

function holderOf(claim: Claim | undefined, { id, who }: WriterIdentity): ClaimWriter {
  const before = claim?.writer;
  if (before?.id === id) return { ...before, who };
  return before === undefined ? { id, who } : { id, who, bySilence: true };
}

function reasonOf(claim: Claim | undefined, { clusterId }: Entrant, isSame: boolean): string {
  if (claim === undefined) return "the first backup that was made here";
  if (!isSame) return `etcd cluster ${clusterId} was restored from a backup of this folder`;
  return claim.writer === undefined
    ? "nobody held the folder"
    : `${claim.writer.who} (writer ${claim.writer.id}) was silent`;
}

/** The claim by which a person gives the folder to a cluster, whatever it was. */
export function takenByHand(
  claim: Pick<Claim, "number" | "lineage"> | undefined,
  { clusterId, writer, now }: { clusterId: string; writer: ClaimWriter | undefined; now: Date },
): Claim {
  const number = (claim?.number ?? 0) + 1;
  const since = now.toISOString();
  const lineage = claim?.lineage ?? [];
  const isCurrent = lineage.at(-1)?.id === clusterId;
  // The same ID again may be another cluster, made anew with the same token and peer URLs: only what it stores from now
  // on is surely its own. Backups of another ID may lie in the folder already.
  const entry = isCurrent ? { id: clusterId, number, since } : { id: clusterId, number: 0 };
  return {
    number,
    lineage: [...lineage, entry].slice(-longestLineage),
    ...(writer === undefined ? {} : { writer }),
    since,
    reason: "a person took it with etcd-backup claim take",
  };
}

/**
 * Why this writer may not delete in the folder; undefined when it may. A folder without a claim is of an earlier
 * release. Silence does not help here: a deletion cannot be taken back, and the silent one may return.
 */
export function whyNotDelete(
  { claim, heartbeats }: { claim: Claim | undefined; heartbeats: readonly Renewal[] },
  { clusterName, writer }: { clusterName: string; writer: WriterIdentity },
): OperatorError | undefined {
  const copy = whyCopy(writer, heartbeats);
  if (copy !== undefined) return copy;
  if (claim === undefined || claim.writer?.id === writer.id) return undefined;
  const holder =
    claim.writer === undefined ? "held by nobody" : `held by ${claim.writer.who} (writer ${claim.writer.id})`;
  return new OperatorError(
    "FolderClaimed",
    `the folder ${clusterName} is ${holder}, and only its holder deletes there; this is ${writer.who} (writer ${writer.id})`,
    {
      permanent: false,
      hint: `its next backup takes the folder over when the holder is gone for good; to settle it at once: ${takeCommand(clusterName, claim.lineage.at(-1)?.id, writer.id)}`,
    },
  );
}

/**
 * Why a command line may not delete in the folder; undefined when it may: nobody holds it. A silent holder still holds
 * it, since it may return and would miss its backups.
 */
export function whyNotDeleteWithoutHold(
  claim: Claim | undefined,
  clusterName: string,
): OperatorError | undefined {
  const holder = claim?.writer;
  if (claim === undefined || holder === undefined) return undefined;
  return new OperatorError(
    "FolderClaimed",
    `the folder ${clusterName} is held by ${holder.who} (writer ${holder.id}), and only its holder deletes there`,
    {
      permanent: true,
      hint: `delete there, by spec.retention of an EtcdBackupSchedule or with kubectl delete etcdbackup; if that operator is gone for good, give its hold up first: ${takeCommand(clusterName, claim.lineage.at(-1)?.id)}`,
    },
  );
}
