import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Operators are members of this group: what they write is audited, nobody else's requests are. */
export const auditedGroup = "chaos:operators";

/** One write that the API server has taken. The resource version orders all of them: it is the revision of its etcd. */
export interface AuditedWrite {
  /** The operator process. */
  writer: string;
  /** Milliseconds since the epoch: when the request came, and when it was answered. */
  receivedAt: number;
  doneAt: number;
  resource: string;
  subresource: string;
  name: string;
  resourceVersion: number;
  /** The object went with its last finalizer: `resourceVersion` is that of its last state, which may be old. */
  removed: boolean;
  /** Of a Lease. */
  holder?: string;
}

interface AuditEvent {
  user: { username: string };
  objectRef?: { resource?: string; subresource?: string; name?: string };
  responseStatus?: { code?: number };
  responseObject?: {
    metadata?: { resourceVersion?: string; deletionTimestamp?: string; finalizers?: string[] };
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
        { group: "etcdbackup.dev", resources: ["etcdbackups", "etcdbackups/status"] },
      ],
    },
    { level: "None" },
  ],
};

export interface AuditLog {
  readonly path: string;
  /** For kube-apiserver. */
  readonly args: string[];
  /** Writes that succeeded, since the last call. A server that is killed may not have noted its very last. */
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
    // Half a line of a server that was killed.
    return [];
  }
  const { user, objectRef = {}, responseStatus, responseObject } = event;
  const { deletionTimestamp, finalizers = [], ...metadata } = responseObject?.metadata ?? {};
  const resourceVersion = Number(metadata.resourceVersion ?? Number.NaN);
  if ((responseStatus?.code ?? 500) >= 300 || Number.isNaN(resourceVersion)) return [];
  return [
    {
      writer: user.username,
      receivedAt: Date.parse(event.requestReceivedTimestamp),
      doneAt: Date.parse(event.stageTimestamp),
      resource: objectRef.resource ?? "",
      subresource: objectRef.subresource ?? "",
      name: objectRef.name ?? "",
      resourceVersion,
      removed: deletionTimestamp !== undefined && finalizers.length === 0,
      ...(objectRef.resource === "leases" ? { holder: responseObject?.spec?.holderIdentity ?? "" } : {}),
    },
  ];
}
