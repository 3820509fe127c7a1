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

/** Runs in place of a program that this machine lacks, such as systemctl. Gets its arguments. */
export type StandIn = (args: string[]) => Promise<Answer>;

export interface Host extends PageHost, AsyncDisposable {
  /** The directory that is the host's /. Absolute paths of the page are below it. */
  readonly root: string;
  /** The path on this machine of a path of the page. */
  path(onPage: string): string;
}

export interface HostOptions {
  name: string;
  /** A directory for this host alone. */
  directory: string;
  /** Addresses of the page, and those on this machine. */
  addresses: readonly (readonly [string, string])[];
  /** The example values of the page's variables. */
  examples: ReadonlyMap<string, string>;
  /** Variables of every block, which replace the example values. */
  env: Record<string, string>;
  standIns: Record<string, StandIn>;
}

/**
 * A host of a runbook: a directory for its file system, a bash that keeps its variables from block to block, etcd's
 * tools and this program in PATH, and stand-ins for the programs that start and stop processes.
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
  // Pages give the paths of the examples relative to a checkout.
  await symlink(join(import.meta.dirname, "..", "..", "..", "deploy"), join(root, "deploy"));

  const path = (onPage: string): string => join(root, onPage);
  const here = (given: string): string => swapped(rooted(root, given), addresses);
  const { ETCD_BACKUP_STORE: store = "", ...others } = options.env;
  const stores = [store.split("?")[0] ?? "", examples.get("ETCD_BACKUP_STORE")?.split("?")[0] ?? ""] as const;
  const toPage = [...addresses, [stores[1], stores[0]] as const].map(([onPage, at]) => [at, onPage] as const);
  const asOnPage = (output: string): string => swapped(output.replaceAll(root, ""), toPage);
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

/** Waits until etcdctl on the host reports healthy endpoints. */
export async function untilHealthy(host: Host): Promise<void> {
  const health = "etcdctl endpoint health --command-timeout=2s";
  await eventually(`${host.name} is healthy`, async () => (await host.bash(health)).code === 0);
}

/** Replaces all addresses in one pass. An address does not match the beginning of a longer one. */
function swapped(text: string, pairs: readonly (readonly [string, string])[]): string {
  const known = pairs.filter(([from]) => from !== "");
  const any = known.map(([from]) => from.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)).join("|");
  const to = new Map(known);
  return any === ""
    ? text
    : text.replaceAll(new RegExp(`(?:${any})(?!\\d)`, "g"), (from) => to.get(from) ?? from);
}

/** Puts absolute paths of the host below its directory. Paths of the machine, such as /dev/null, stay. */
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
      return (await standIns[command]?.(args)) ?? { code: 127, stderr: `${command}: there is no stand-in\n` };
    };
    answer(request)
      .catch((error: unknown) => ({ code: 1, stderr: `${String(error)}\n` }))
      .then((result) => response.end(JSON.stringify(result)))
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

/** Reads the `KEY=value` lines of a systemd EnvironmentFile. */
export async function readEnvFile(path: string): Promise<Record<string, string>> {
  const lines = (await readFile(path, "utf8")).split("\n").filter((line) => /^\w+=/.test(line));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}
