import { fileURLToPath } from "node:url";
import type { EtcdCluster } from "./etcd-cluster.ts";
import { run } from "./process.ts";
import type { S3Server } from "./s3-server.ts";

/** The launcher that users start. */
export const etcdBackupPath = fileURLToPath(new URL("../../bin/etcd-backup", import.meta.url));

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs one command line to its end, in a clean environment. */
export async function etcdBackup(
  args: string[],
  env: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Ran> {
  return run(etcdBackupPath, args, { env, ...(signal === undefined ? {} : { signal }) });
}

/** As `etcdBackup`, but throws on a non-zero exit code. Returns the parsed output of `-o json`. */
export async function etcdBackupJson<T>(args: string[], env: Record<string, string> = {}): Promise<T> {
  const { code, stdout, stderr } = await etcdBackup([...args, "-o", "json"], env);
  if (code !== 0) throw new Error(`etcd-backup ${args.join(" ")}: exit code ${code}\n${stderr}`);
  return JSON.parse(stdout) as T;
}

/** The flags for a cluster of the harness: endpoints and certificates. */
export function etcdFlags(cluster: EtcdCluster, endpoints: string[] = cluster.endpoints): string[] {
  const { tls } = cluster;
  const certificates =
    tls === undefined ? [] : ["--cacert", tls.caFile, "--cert", tls.certFile, "--key", tls.keyFile];
  return ["--endpoints", endpoints.join(","), ...certificates];
}

/** The store URL of a bucket on an S3 server of the harness, and the variables with its credentials. */
export function s3Store(
  s3: S3Server,
  bucket: string,
  prefix = "",
): { url: string; env: Record<string, string> } {
  const folder = prefix === "" ? bucket : `${bucket}/${prefix}`;
  return {
    url: `s3://${folder}?endpoint=${encodeURIComponent(s3.endpoint)}&region=${s3.region}&pathStyle=true`,
    env: { AWS_ACCESS_KEY_ID: s3.accessKeyId, AWS_SECRET_ACCESS_KEY: s3.secretAccessKey },
  };
}
