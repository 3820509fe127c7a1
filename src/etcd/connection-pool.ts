import { rootCertificates } from "node:tls";
import { noop } from "cockatiel";
import type { IOptions } from "etcd3";
import { ConnectionPool } from "etcd3/lib/connection-pool.js";
import { unusableTls } from "./errors.ts";

/** PEM texts. `serverName` is checked against the member's certificate in place of the URL's host. */
export interface EtcdTls {
  ca?: Buffer;
  cert?: Buffer;
  key?: Buffer;
  serverName?: string;
}

/** etcd3's pool for one endpoint. Throws InvalidConfiguration when the PEM texts make no TLS client. */
export function openPool(url: string, tls: EtcdTls | undefined): ConnectionPool {
  try {
    return new ConnectionPool(poolOptions(url, tls));
  } catch (error) {
    throw unusableTls(error);
  }
}

function poolOptions(url: string, tls: EtcdTls | undefined): IOptions {
  const https = url.startsWith("https:");
  return {
    hosts: url,
    ...(https && (tls?.ca !== undefined || tls?.cert !== undefined)
      ? { credentials: credentialsOf(tls) }
      : {}),
    grpcOptions: {
      // The default window of 64 KiB limits the snapshot stream to a fifth of what the member can send. This one
      // carries 1 Gbit/s over a round trip of 16 ms; a larger one costs several times its size in memory.
      "grpc-node.flow_control_window": 2 * 1024 * 1024,
      "grpc.max_receive_message_length": -1,
      "grpc.enable_http_proxy": 0,
      // Channels with equal options share a connection, and with it the backoff after another channel's failure.
      "etcd-backup.connection": Symbol(url),
      // A refused connection has to be tried again within the time that a member takes to restart.
      "grpc.initial_reconnect_backoff_ms": 200,
      "grpc.max_reconnect_backoff_ms": 2000,
      ...(https && tls?.serverName !== undefined
        ? { "grpc.ssl_target_name_override": tls.serverName, "grpc.default_authority": tls.serverName }
        : {}),
    },
    // The callers retry: etcd3's own retries would hide which attempt failed.
    faultHandling: { host: () => noop, global: noop },
  };
}

/** Without a CA the members' certificates are checked against Node's roots, also with a client certificate. */
function credentialsOf({ ca, cert, key }: EtcdTls): NonNullable<IOptions["credentials"]> {
  return {
    rootCertificate: ca ?? Buffer.from(rootCertificates.join("\n")),
    ...(key === undefined ? {} : { privateKey: key }),
    ...(cert === undefined ? {} : { certChain: cert }),
  };
}
