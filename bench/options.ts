import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { S3Kind } from "../test/harness/s3-server.ts";

export const sections = ["save", "status", "parts", "latency", "restore", "start"] as const;
export type Section = (typeof sections)[number];

export interface Options {
  /** Approximate bytes of the database: the bench counts pairs, and etcd allocates pages. */
  size: number;
  rounds: number;
  store: S3Kind;
  only: ReadonlySet<Section>;
  /** The `--max-rate` of the throttled save in the latency table. */
  maxRate: string;
  /** Bits a second between client and store; undefined for no limit. */
  link: number | undefined;
  json: string | undefined;
  profile: string | undefined;
}

export const usage = `usage: npm run bench -- [options]
  --size <bytes>       size of the database, such as 256MiB or 4GiB (1GiB)
  --rounds <n>         measured rounds after one warm-up (5)
  --only <sections>    of ${sections.join(",")} (all)
  --store <kind>       versitygw or minio (versitygw)
  --max-rate <rate>    read rate of the throttled save in the latency table (50Mi)
  --link <rate>        simulated rate between client and store, such as 1Gbit (no limit)
  --json <file>        also write every number to this file, as JSON
  --profile <dir>      only run one save under node --cpu-prof, and write the profile to this directory

Scratch files go to TMPDIR and need about four times the size. The user's cache keeps the filled database and awscli.
This machine has ${availableParallelism()} cores; clients, etcd and store share them.
`;

/** Throws an Error whose message is one line for the user. */
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
