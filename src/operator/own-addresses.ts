import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { OperatorError } from "../core/errors.ts";

/** Addresses that mean the operator's own host or Pod, and its link, which holds the metadata service of a cloud. */
const ownAddresses = new BlockList();
ownAddresses.addAddress("0.0.0.0", "ipv4");
ownAddresses.addSubnet("127.0.0.0", 8, "ipv4");
ownAddresses.addSubnet("169.254.0.0", 16, "ipv4");
ownAddresses.addAddress("::", "ipv6");
ownAddresses.addAddress("::1", "ipv6");
ownAddresses.addSubnet("fe80::", 10, "ipv6");

function isOwn(ip: string): boolean {
  const family = isIP(ip);
  return family !== 0 && ownAddresses.check(ip, family === 6 ? "ipv6" : "ipv4");
}

/** Throws InvalidConfiguration for an address of the operator's own host or link. `host` is named by the message. */
export function refuseOwnAddress(ip: string, host: string): void {
  if (!isOwn(ip)) return;
  throw new OperatorError(
    "InvalidConfiguration",
    `${host} is the loopback or link-local address ${ip} of the operator itself`,
    { hint: "use an address of the server, or start the operator with --loopback-namespaces" },
  );
}

/** The host of a URL; an IPv6 address without brackets. */
export function hostOf(url: string): string {
  return (URL.parse(url)?.hostname ?? "").replace(/^\[|\]$/g, "");
}

/**
 * Resolves the host of an etcd URL and throws as `refuseOwnAddress` does. A name that does not resolve passes: the
 * connection fails as well. The channel resolves the name again, so a name that changes in between is not noticed.
 */
export async function refuseOwnUrl(url: string, signal: AbortSignal): Promise<void> {
  const host = hostOf(url);
  const addresses = isIP(host) === 0 ? await addressesOf(host, signal) : [host];
  for (const address of addresses) refuseOwnAddress(address, host);
}

async function addressesOf(host: string, signal: AbortSignal): Promise<string[]> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  const resolved = lookup(host, { all: true }).then(
    (found) => found.map(({ address }) => address),
    () => [],
  );
  try {
    return await Promise.race([resolved, promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
