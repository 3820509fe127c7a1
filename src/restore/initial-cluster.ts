import { OperatorError } from "../core/errors.ts";

/** A voting member of a new cluster. */
export interface InitialMember {
  name: string;
  /** Ascending, each `scheme://host:port`. */
  peerUrls: string[];
}

/**
 * Parses etcd's `--initial-cluster`: `m1=https://10.0.0.1:2380,m2=…`, a name repeated for each further URL. Throws
 * Usage for what etcd refuses at its start, and for two members with one URL, which etcd accepts.
 */
export function parseInitialCluster(text: string): InitialMember[] {
  const members = new Map<string, string[]>();
  const holders = new Map<string, string>();
  for (const part of text.split(",")) {
    const [, name = "", url = ""] = /^([^=]*)=(.*)$/.exec(part.trim()) ?? [];
    if (name.trim() === "" || url === "") {
      throw refused(
        `"${part}" is not name=peerURL`,
        "write m1=https://10.0.0.1:2380,m2=https://10.0.0.2:2380",
      );
    }
    const peerUrl = checkPeerUrl(url, "--initial-cluster");
    const holder = holders.get(peerUrl);
    if (holder !== undefined) {
      const who = holder === name ? `${name} twice` : `both ${holder} and ${name}`;
      throw refused(`${peerUrl} is given to ${who}`, "each peer URL belongs to one member");
    }
    holders.set(peerUrl, name);
    members.set(name, [...(members.get(name) ?? []), peerUrl]);
  }
  return [...members].map(([name, peerUrls]) => ({ name, peerUrls: peerUrls.toSorted() }));
}

/** Formats members as `--initial-cluster`. */
export function formatInitialCluster(members: readonly InitialMember[]): string {
  return members.flatMap(({ name, peerUrls }) => peerUrls.map((url) => `${name}=${url}`)).join(",");
}

/** The member with that name. Throws Usage when there is none, or when its peer URLs differ from `advertised`. */
export function memberNamed(
  members: readonly InitialMember[],
  name: string,
  advertised: string | undefined,
): InitialMember {
  const member = members.find((one) => one.name === name);
  if (member === undefined) {
    const names = members.map((one) => one.name).join(", ");
    throw new OperatorError("Usage", `--name ${name} is not in --initial-cluster, which has ${names}`, {
      hint: "use one of the names in --initial-cluster as --name, and the same list on every host",
    });
  }
  if (advertised === undefined) return member;
  const urls = advertised
    .split(",")
    .map((url) => checkPeerUrl(url.trim(), "--initial-advertise-peer-urls"))
    .toSorted();
  if (urls.join() !== member.peerUrls.join()) {
    throw new OperatorError(
      "Usage",
      `--initial-advertise-peer-urls ${urls.join(",")} differs from the peer URLs of ${name} in --initial-cluster: ${member.peerUrls.join(",")}`,
      { hint: "give this member the same peer URLs in both flags" },
    );
  }
  return member;
}

/** Throws Usage unless the URL is one that etcd accepts: scheme, host and port, and at most a slash after them. */
function checkPeerUrl(text: string, flag: string): string {
  const url = URL.parse(text);
  const isPeerUrl =
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    /^https?:\/\/[^/?#@]+:\d+\/?$/.test(text) &&
    url.hostname !== "";
  if (isPeerUrl) return text.replace(/\/$/, "");
  throw new OperatorError("Usage", `${flag}: ${text.replace(/\/\/[^/@]*@/, "//")} is not a peer URL`, {
    hint: "write scheme, host and port and nothing else, such as https://10.0.0.1:2380",
  });
}

function refused(what: string, hint: string): OperatorError {
  return new OperatorError("Usage", `--initial-cluster: ${what}`, { hint });
}
