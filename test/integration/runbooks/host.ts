import { once } from "node:events";
import { chmod, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { type IncomingMessage, createServer } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { binary } from "../../harness/binaries.ts";
import { etcdBackupPath } from "../../harness/etcd-backup.ts";
import { run } from "../../harness/process.ts";
import type { PageHost } from "./pages.ts";
import { eventually } from "../../support/eventually.ts";

export interface Answer {
  code?: number;
  stdout?: string;
  stderr?: string;
}

/** What answers for a program that this machine has not, such as systemctl: given its arguments. */
export type StandIn = (args: string[]) => Promise<Answer>;

export interface Host extends PageHost, AsyncDisposable {
  /** Where the host's / is: a page's absolute paths lie below it. */
  readonly root: string;
  /** The path here of a path of the page. */
  path(onPage: string): string;
}

export interface HostOptions {
  name: string;
  /** A directory for this host alone. */
  directory: string;
  /** Addresses of the page and what they are here. */
  addresses: readonly (readonly [string, string])[];
  /** The page's variables. */
  examples: ReadonlyMap<string, string>;
  /** Set for every block, and instead of the examples. */
  env: Record<string, string>;
  standIns: Record<string, StandIn>;
}

/**
 * A host of a runbook: a folder for its file system, a bash whose variables stay from block to block, etcd's real tools
 * and this program in PATH, and stand-ins for what starts and stops processes there.
 */
export async function startHost(options: HostOptions): Promise<Host> {
  const { name, directory, addresses, examples } = options;
  const root = join(directory, "root");
  const bin = join(root, "usr", "local", "bin");
  await mkdir(bin, { recursive: true });
  for (const folder of ["var/lib", "root"]) await mkdir(join(root, folder), { recursive: true });
  for (const tool of ["etcd", "etcdctl", "etcdutl"] as const)
    await symlink(await binary(tool), join(bin, tool));
  await symlink(etcdBackupPath, join(bin, "etcd-backup"));
  // Pages speak of the examples as one does in a checkout.
  await symlink(join(import.meta.dirname, "..", "..", "..", "deploy"), join(root, "deploy"));

  const path = (onPage: string): string => join(root, onPage);
  const here = (given: string): string => swapped(rooted(root, given), addresses);
  const { ETCD_BACKUP_STORE: store = "", ...others } = options.env;
  const stores = [store.split("?")[0] ?? "", examples.get("ETCD_BACKUP_STORE")?.split("?")[0] ?? ""] as const;
  const back = [...addresses, [stores[1], stores[0]] as const].map(([onPage, at]) => [at, onPage] as const);
  const asOnPage = (said: string): string => swapped(said.replaceAll(root, ""), back);
  const fromPage = [...examples].map(([key, value]) => [key, here(value)] as const);
  const env = { ...Object.fromEntries(fromPage), ETCD_BACKUP_STORE: store, ...others };
  const standIns = await serve(options.standIns, join(directory, "standins"), bin);
  const state = join(directory, "variables");
  await writeFile(state, "");
  const script = (block: string): string =>
    `set -euo pipefail; set -a; . ${state}; exec 2>&1\n${block}\nset +a; { export -p; echo "cd '$PWD'"; } > ${state}`;
  return {
    name,
    root,
    path,
    here,
    asOnPage,
    async bash(block) {
      const ran = await run("bash", ["-c", script(here(block))], {
        env: { ...env, PATH: `${bin}:${process.env["PATH"] ?? ""}` },
        cwd: root,
      });
      return { code: ran.code, output: ran.stdout + ran.stderr };
    },
    [Symbol.asyncDispose]: () => standIns[Symbol.asyncDispose](),
  };
}

/** As etcdctl there sees it, for 20 s at most. */
export async function untilHealthy(host: Host): Promise<void> {
  const health = "etcdctl endpoint health --command-timeout=2s";
  await eventually(`${host.name} is healthy`, async () => (await host.bash(health)).code === 0);
}

/** In one pass; an address is not the beginning of a longer one. */
function swapped(text: string, pairs: readonly (readonly [string, string])[]): string {
  const known = pairs.filter(([from]) => from !== "");
  const any = known.map(([from]) => from.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)).join("|");
  const to = new Map(known);
  return any === ""
    ? text
    : text.replaceAll(new RegExp(`(?:${any})(?!\\d)`, "g"), (from) => to.get(from) ?? from);
}

/** Absolute paths of the page's own hosts. Those of the machine, such as /dev/null, stay. */
function rooted(root: string, text: string): string {
  return text.replaceAll(/(?<![\w.:/{}-])\/(?:etc|var|srv|usr\/local|root)\b/g, (path) => `${root}${path}`);
}

async function serve(
  standIns: HostOptions["standIns"],
  socket: string,
  bin: string,
): Promise<AsyncDisposable> {
  const server = createServer((request, response) => {
    const answer = async (incoming: IncomingMessage): Promise<Answer> => {
      const [command = "", ...args] = JSON.parse(await text(incoming)) as string[];
      return (await standIns[command]?.(args)) ?? { code: 127, stderr: `${command}: not here\n` };
    };
    answer(request)
      .catch((error: unknown) => ({ code: 1, stderr: `${String(error)}\n` }))
      .then((told) => response.end(JSON.stringify(told)))
      .catch(() => response.destroy());
  });
  server.listen(socket);
  await once(server, "listening");
  for (const command of Object.keys(standIns)) {
    await writeFile(join(bin, command), client(socket, command));
    await chmod(join(bin, command), 0o755);
  }
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

const client = (socketPath: string, command: string): string => `#!${process.execPath}
const { request } = require("node:http");
const { text } = require("node:stream/consumers");
const asked = request({ socketPath: ${JSON.stringify(socketPath)}, method: "POST" }, async (response) => {
  const { code = 0, stdout = "", stderr = "" } = JSON.parse(await text(response));
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  process.exitCode = code;
});
asked.end(JSON.stringify([${JSON.stringify(command)}, ...process.argv.slice(2)]));
`;

/** `KEY=value` lines, as systemd's EnvironmentFile has them. */
export async function readEnvFile(path: string): Promise<Record<string, string>> {
  const lines = (await readFile(path, "utf8")).split("\n").filter((line) => /^\w+=/.test(line));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}
