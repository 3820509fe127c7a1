import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The operators are members of this group. The audit log records only the writes of its members. */
export const auditedGroup = "chaos:operators";

/** One write that the API server has accepted. Its resourceVersion is the revision of etcd, which orders all writes. */
export interface AuditedWrite {
  /** The user of the operator process. */
  writer: string;
  /** When the request was received and when it was answered, in milliseconds since the epoch. */
  receivedAt: number;
  doneAt: number;
  resource: string;
  subresource: string;
  name: string;
  resourceVersion: number;
  /** The write removed the last finalizer and with it the object. `resourceVersion` is that of the last state, which may be old. */
  removed: boolean;
  /** The holder identity of the Lease of both operators. */
  holder?: string;
  /** The EtcdBackup that the write created. */
  created?: CreatedBackup;
}

/** Metadata of an EtcdBackup when it was created. */
export interface CreatedBackup {
  name: string;
  uid: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

interface AuditEvent {
  verb: string;
  user: { username: string };
  objectRef?: { resource?: string; subresource?: string; name?: string };
  responseStatus?: { code?: number };
  responseObject?: {
    metadata?: CreatedBackup & {
      resourceVersion?: string;
      deletionTimestamp?: string;
      finalizers?: string[];
    };
    spec?: { holderIdentity?: string };
  };
  requestReceivedTimestamp: string;
  stageTimestamp: string;
}

const policy = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [
    {
      level: "RequestResponse",
      userGroups: [auditedGroup],
      verbs: ["create", "update", "patch"],
      resources: [
        { group: "coordination.k8s.io", resources: ["leases"] },
        {
          group: "etcdbackup.dev",
          resources: ["etcdbackups", "etcdbackups/status", "etcdbackupschedules/status"],
        },
      ],
    },
    { level: "None" },
  ],
};

/** The Lease of both operators. Another release has one of its own. */
const leaseName = "etcd-backup-operator";

export interface AuditLog {
  readonly path: string;
  /** Flags of kube-apiserver. */
  readonly args: string[];
  /** Successful writes since the last call. A killed server may not have logged the last ones. */
  read(): Promise<AuditedWrite[]>;
}

export async function auditLog(directory: string): Promise<AuditLog> {
  const policyPath = join(directory, "audit-policy.json");
  const path = join(directory, "audit.log");
  await writeFile(policyPath, JSON.stringify(policy));
  await writeFile(path, "");
  let offset = 0;
  return {
    path,
    args: [`--audit-policy-file=${policyPath}`, `--audit-log-path=${path}`, "--audit-log-maxsize=100000"],
    async read() {
      await using file = await open(path);
      const { size } = await file.stat();
      const bytes = Buffer.alloc(size - offset);
      const { bytesRead } = await file.read(bytes, 0, bytes.length, offset);
      const whole = bytes.subarray(0, bytesRead).lastIndexOf("\n") + 1;
      offset += whole;
      return bytes.subarray(0, whole).toString().split("\n").flatMap(parseLine);
    },
  };
}

function parseLine(line: string): AuditedWrite[] {
  let event: AuditEvent;
  try {
    event = JSON.parse(line) as AuditEvent;
  } catch {
    // An incomplete line of a server that was killed.
    return [];
  }
  const { verb, user, objectRef = {}, responseStatus, responseObject } = event;
  const metadata = responseObject?.metadata;
  const resourceVersion = Number(metadata?.resourceVersion ?? Number.NaN);
  if ((responseStatus?.code ?? 500) >= 300 || Number.isNaN(resourceVersion)) return [];
  const isLease = objectRef.resource === "leases";
  if (isLease && objectRef.name !== leaseName) return [];
  const made = verb === "create" && !isLease ? metadata : undefined;
  return [
    {
      writer: user.username,
      receivedAt: Date.parse(event.requestReceivedTimestamp),
      doneAt: Date.parse(event.stageTimestamp),
      resource: objectRef.resource ?? "",
      subresource: objectRef.subresource ?? "",
      name: made?.name ?? objectRef.name ?? "",
      resourceVersion,
      removed: metadata?.deletionTimestamp !== undefined && (metadata.finalizers ?? []).length === 0,
      ...(isLease ? { holder: responseObject?.spec?.holderIdentity ?? "" } : {}),
      ...(made === undefined ? {} : { created: made }),
    },
  ];
}
