import { createServer } from "node:http";
import { listen } from "../../test/support/listen.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import type { ConnectionReader } from "./connection-reader.ts";

/** An EtcdBackupStore of namespace team-a. */
export function storeOf(
  s3: Partial<NonNullable<EtcdBackupStore["spec"]["s3"]>>,
  namespace = "team-a",
): EtcdBackupStore {
  return {
    apiVersion: "etcdbackup.dev/v1alpha1",
    kind: "EtcdBackupStore",
    metadata: { name: "s", namespace, uid: "s", generation: 1, resourceVersion: "1", creationTimestamp: "" },
    spec: {
      s3: { bucket: "platform-backups", forcePathStyle: true, checksum: "Auto", versions: "Keep", ...s3 },
      accessMode: "ReadWrite",
      catalog: { import: true, importLimit: 30 },
    },
    status: { observedGeneration: 1 },
  };
}

/** A reader of Secrets and addresses that stand in memory. */
export function readerOf(given: {
  secrets?: Record<string, Record<string, string>>;
  ips?: string[];
}): ConnectionReader {
  return {
    async secret(_namespace, name) {
      const secret = Object.entries(given.secrets?.[name] ?? {});
      return Object.fromEntries(secret.map(([key, text]) => [key, Buffer.from(text)]));
    },
    podIPs: async () => given.ips ?? [],
    serviceIPs: async () => given.ips ?? [],
  };
}

/** An S3 endpoint that answers every request with an empty listing, and keeps who signed it. */
export async function recordingEndpoint() {
  const signers: string[] = [];
  const server = createServer((request, response) => {
    signers.push(/Credential=([^/]+)/.exec(request.headers.authorization ?? "")?.[1] ?? "nobody");
    response.writeHead(200, { "content-type": "application/xml" }).end("<ListBucketResult/>");
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}`,
    signers,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}
