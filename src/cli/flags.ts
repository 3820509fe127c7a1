import { readFile } from "node:fs/promises";
import { checkClusterName } from "../core/backup/name.ts";
import type { MemberSelection } from "../core/etcd/member-choice.ts";
import type { EtcdAccess } from "../etcd/endpoint.ts";
import type { StoreConfig } from "../store/kinds.ts";
import { parseStoreUrl } from "../store/url.ts";
import { usage } from "./usage.ts";

/** The flags of etcdctl. */
export interface EtcdAccessFlags {
  endpoints?: string;
  cacert?: string;
  cert?: string;
  key?: string;
  serverName?: string;
  user?: string;
  password?: string;
  commandTimeout: string;
}

/** The flags of etcdctl, and those that choose the member. */
export interface EtcdFlags extends EtcdAccessFlags {
  prefer: "follower" | "leader" | "any";
  member?: string;
  maxLag: string;
  allowWithoutQuorum?: boolean;
}

export interface StoreFlags {
  store?: string;
  clusterName?: string;
}

export type OutputFormat = "table" | "json" | "yaml";

/** The entries of a list that commas separate. */
export function listOf(text: string | undefined): string[] {
  return (text ?? "").split(",").flatMap((entry) => entry.trim() || []);
}

/** The client URLs, `scheme://host:port`. The scheme is https by default where a certificate is given. Throws Usage. */
export function endpointsOf(flags: EtcdAccessFlags): string[] {
  const endpoints = listOf(flags.endpoints);
  const hint = "add --endpoints https://10.0.0.11:2379,… or set ETCDCTL_ENDPOINTS";
  if (endpoints.length === 0) throw usage("no etcd endpoint was given", hint);
  const scheme = flags.cacert === undefined && flags.cert === undefined ? "http" : "https";
  return endpoints.map((endpoint) => {
    if (endpoint.includes("@"))
      throw usage("an endpoint holds a user or password", "use --user and ETCDCTL_PASSWORD instead");
    const url = URL.parse(endpoint.includes("://") ? endpoint : `${scheme}://${endpoint}`);
    if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === "")
      throw usage(`${endpoint} is not an etcd client URL`, hint);
    return `${url.protocol}//${url.hostname}:${url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port}`;
  });
}

/** Reads the certificate files and the password. Throws Usage. */
export async function accessOf(flags: EtcdAccessFlags): Promise<EtcdAccess> {
  const [ca, cert, key] = await Promise.all([
    readPem(flags.cacert, "--cacert"),
    readPem(flags.cert, "--cert"),
    readPem(flags.key, "--key"),
  ]);
  if ((cert === undefined) !== (key === undefined))
    throw usage("--cert and --key must be given together", "add the one that is missing");
  const tls = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(flags.serverName === undefined ? {} : { serverName: flags.serverName }),
  };
  const auth = credentials(flags);
  return {
    tls,
    ...(auth === undefined ? {} : { auth }),
    timeoutMs: milliseconds(flags.commandTimeout, "--command-timeout"),
  };
}

async function readPem(file: string | undefined, flag: string): Promise<Buffer | undefined> {
  if (file === undefined || file === "") return undefined;
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw usage(`${flag} ${file} cannot be read: ${error.code ?? error.message}`);
  });
  if (!bytes.includes("-----BEGIN ")) throw usage(`${flag} ${file} is not a PEM file`);
  return bytes;
}

function credentials(flags: EtcdAccessFlags): { username: string; password: string } | undefined {
  if (flags.user === undefined || flags.user === "") return undefined;
  const colon = flags.user.indexOf(":");
  const username = colon < 0 ? flags.user : flags.user.slice(0, colon);
  const password = colon < 0 ? flags.password : flags.user.slice(colon + 1);
  if (password === undefined)
    throw usage(`no password was given for user ${username}`, "set ETCDCTL_PASSWORD");
  return { username, password };
}

const millisecondsOf: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Reads a duration as etcdctl does, such as 500ms, 5s or 1m30s; a bare number is seconds. Throws Usage. */
export function milliseconds(text: string, flag: string): number {
  const total = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : sumOfParts(text);
  if (total > 0) return total;
  throw usage(`${flag} ${text} is not a duration above zero`, "write it as 500ms, 5s or 1m30s");
}

function sumOfParts(text: string): number {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return 0;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  return parts.reduce(
    (total, [, amount, unit]) => total + Number(amount) * (millisecondsOf[unit ?? ""] ?? 0),
    0,
  );
}

/** Reads a whole number, 0 or more. Throws Usage. */
export function wholeNumber(text: string, flag: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw usage(`${flag} ${text} is not a whole number`);
  return value;
}

export function selectionOf(flags: EtcdFlags): MemberSelection {
  const prefer = { follower: "Follower", leader: "Leader", any: "Any" } as const;
  return {
    prefer: prefer[flags.prefer],
    ...(flags.member === undefined ? {} : { name: flags.member }),
    maxLag: wholeNumber(flags.maxLag, "--max-lag"),
    allowWithoutQuorum: flags.allowWithoutQuorum === true,
  };
}

/** The store of --store. Throws Usage. */
export function storeOf(flags: StoreFlags): StoreConfig {
  if (flags.store !== undefined && flags.store !== "") return parseStoreUrl(flags.store);
  throw usage(
    "no store was given",
    "add --store s3://bucket/prefix or --store file:///dir, or set ETCD_BACKUP_STORE",
  );
}

/** The cluster name of a verb that works on one folder. Throws Usage. */
export function clusterNameOf({ clusterName }: StoreFlags): string {
  if (clusterName !== undefined && clusterName !== "") return checkClusterName(clusterName);
  throw usage("no cluster name was given", "add --cluster-name NAME: the folder in the store");
}
