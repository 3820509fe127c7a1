import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { S3Kind } from "../test/harness/s3-server.ts";

export const sections = ["save", "status", "parts", "latency", "restore", "start"] as const;
export type Section = (typeof sections)[number];

export interface Options {
  /** Bytes of the database, roughly: keys are counted, pages are etcd's. */
  size: number;
  rounds: number;
  store: S3Kind;
  only: ReadonlySet<Section>;
  /** Given to `etcd-backup save --max-rate` in one row more. */
  maxRate: string;
  /** Bits a second between client and store; undefined for loopback as it is. */
  link: number | undefined;
  json: string | undefined;
  profile: string | undefined;
}

export const usage = `usage: npm run bench -- [options]
  --size <bytes>       database, such as 256MiB or 4GiB (1GiB)
  --rounds <n>         measured rounds after one warm-up (5)
  --only <sections>    of ${sections.join(",")} (all)
  --store <kind>       versitygw or minio (versitygw)
  --max-rate <rate>    of the throttled row among the latencies (50Mi)
  --link <rate>        between client and store, such as 1Gbit (no limit)
  --json <file>        every number, machine-readable
  --profile <dir>      one save under node --cpu-prof into this directory, nothing else

Scratch files go below TMPDIR: about four times the size. The filled database and awscli are kept in the user's cache.
This machine has ${availableParallelism()} cores; clients, etcd and store share them.
`;

/** Throws an Error with one line for the person. */
export function parseOptions(args: string[]): Options | "help" {
  const { values } = parseArgs({
    args,
    options: {
      size: { type: "string", default: "1GiB" },
      rounds: { type: "string", default: "5" },
      only: { type: "string", default: sections.join(",") },
      store: { type: "string", default: "versitygw" },
      "max-rate": { type: "string", default: "50Mi" },
      link: { type: "string" },
      json: { type: "string" },
      profile: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return "help";
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${values.rounds}: use 1 or more`);
  if (values.store !== "versitygw" && values.store !== "minio")
    throw new Error(`--store ${values.store}: use versitygw or minio`);
  return {
    size: sizeOf(values.size),
    rounds,
    only: new Set(values.only.split(",").map(sectionOf)),
    store: values.store,
    maxRate: values["max-rate"],
    link: values.link === undefined ? undefined : linkOf(values.link),
    json: values.json,
    profile: values.profile,
  };
}

function sectionOf(text: string): Section {
  const section = sections.find((name) => name === text);
  if (section === undefined) throw new Error(`--only ${text}: use some of ${sections.join(",")}`);
  return section;
}

function sizeOf(text: string): number {
  const [, amount, unit] = /^(\d+)([MG])iB$/.exec(text) ?? [];
  if (amount === undefined) throw new Error(`--size ${text}: use 256MiB or 4GiB`);
  return Number(amount) * (unit === "G" ? 1024 ** 3 : 1024 ** 2);
}

function linkOf(text: string): number {
  const [, amount, unit] = /^(\d+)([MG])bit$/.exec(text) ?? [];
  if (amount === undefined) throw new Error(`--link ${text}: use 100Mbit or 1Gbit`);
  return Number(amount) * (unit === "G" ? 1e9 : 1e6);
}
