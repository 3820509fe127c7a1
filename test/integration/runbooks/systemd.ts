import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Authority, createAuthority } from "../../harness/certificates.ts";
import { type RunningProcess, freePorts, run, startProcess } from "../../harness/process.ts";
import { type Answer, type Host, readEnvFile, startHost, untilHealthy } from "./host.ts";
import { eventually } from "../../support/eventually.ts";

export const systemdExamples = join(import.meta.dirname, "..", "..", "..", "deploy", "examples", "systemd");

export interface SystemdHost extends Host {
  /** Kills every process. The disk stays. */
  powerOff(): Promise<void>;
}

export interface SystemdOptions {
  directory: string;
  members: number;
  examples: ReadonlyMap<string, string>;
  env: Record<string, string>;
}

/**
 * Hosts etcd1, etcd2, … with the example unit and environment file, and a running etcd. The addresses are ports of
 * 127.0.0.1, and a stand-in for `systemctl` runs the command of the unit.
 */
export async function startSystemdHosts(
  options: SystemdOptions,
): Promise<{ hosts: SystemdHost[] } & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const ports = await freePorts(2 * options.members);
  const addresses = Array.from({ length: options.members }, (_, i) => [
    [`10.0.0.${11 + i}:2379`, `127.0.0.1:${ports[2 * i]}`] as const,
    [`10.0.0.${11 + i}:2380`, `127.0.0.1:${ports[2 * i + 1]}`] as const,
  ]).flat();
  const authority = await createAuthority("etcd CA");
  const hosts: SystemdHost[] = [];
  for (let i = 1; i <= options.members; i += 1) {
    const host = stack.use(await systemdHost({ ...options, name: `etcd${i}`, addresses }));
    await writeCertificates(authority, host);
    await writeFiles(host, i, options.members);
    await writeBackupEnv(host, options.env);
    hosts.push(host);
  }
  await Promise.all(hosts.map((host) => host.bash("systemctl start etcd")));
  for (const host of hosts) await untilHealthy(host);
  const started = stack.move();
  return { hosts, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

async function systemdHost({
  name,
  directory,
  ...options
}: Omit<SystemdOptions, "members"> & {
  name: string;
  addresses: (readonly [string, string])[];
}): Promise<SystemdHost> {
  const services = new Map<string, RunningProcess>();
  const hostDirectory = join(directory, name);
  await mkdir(hostDirectory, { recursive: true });
  const root = join(hostDirectory, "root");
  const powerOff = async (): Promise<void> => {
    await Promise.all([...services.values()].map((service) => service.kill()));
  };
  const host = await startHost({
    ...options,
    name,
    directory: hostDirectory,
    standIns: {
      systemctl: (args) => systemctl(args, root, services),
      scp: ([from = "", to = ""]) => copyToHost(from, to, directory),
    },
  });
  return {
    ...host,
    powerOff,
    async [Symbol.asyncDispose]() {
      await powerOff();
      await host[Symbol.asyncDispose]();
    },
  };
}

/** The verbs of systemctl for services that are processes of the test. Timers are not run. */
async function systemctl(
  args: string[],
  root: string,
  services: Map<string, RunningProcess>,
): Promise<Answer> {
  const [verb = "", unit = ""] = args.filter((arg) => !arg.startsWith("--"));
  const name = unit.replace(/\.service$/, "");
  const running = services.get(name)?.running === true;
  switch (verb) {
    case "daemon-reload":
    case "list-timers":
      return {};
    case "enable":
      await readFile(join(root, "etc", "systemd", "system", unit));
      return {};
    case "is-active":
      return running ? { stdout: "active\n" } : { code: 3, stdout: "inactive\n" };
    case "stop":
      await services.get(name)?.stop();
      return {};
    case "start":
      return running ? {} : startService(name, { root, services, wait: !args.includes("--no-block") });
    default:
      return { code: 1, stderr: `Unknown command verb ${verb}.\n` };
  }
}

/** `scp FILE root@10.0.0.1N:FILE` copies to etcdN. */
async function copyToHost(from: string, to: string, directory: string): Promise<Answer> {
  const [, index = "", path = ""] = /^root@10\.0\.0\.1(\d):(.*)$/.exec(to) ?? [];
  const target = join(directory, `etcd${index}`, "root", path);
  await mkdir(dirname(target), { recursive: true });
  await copyFile(from, target);
  return {};
}

async function startService(
  name: string,
  { root, services, wait }: { root: string; services: Map<string, RunningProcess>; wait: boolean },
): Promise<Answer> {
  const unit = await readFile(join(root, "etc", "systemd", "system", `${name}.service`), "utf8");
  const setting = (key: string): string => new RegExp(`^${key}=(.*)$`, "m").exec(unit)?.[1] ?? "";
  const commands = [...unit.matchAll(/^ExecStart=(.*)$/gm)].map(([, command = ""]) => command.split(" "));
  const env = await readEnvFile(join(root, setting("EnvironmentFile")));
  if (setting("Type") === "oneshot") return runInTurn(commands, root, env);
  const [[program = "", ...args] = []] = commands;
  const service = startProcess(join(root, program), args, {
    env: { ...env, ETCD_UNSAFE_NO_FSYNC: "true" },
    name,
  });
  services.set(name, service);
  // Type=notify waits for this.
  if (wait)
    await eventually(`${name} is ready:\n${service.output()}`, async () => {
      if (!service.running) throw new Error(service.output());
      return service.output().includes("ready to serve client requests");
    });
  return {};
}

/** The commands of a oneshot unit: each runs when the one before it has succeeded. */
async function runInTurn(
  commands: readonly string[][],
  root: string,
  env: Record<string, string>,
): Promise<Answer> {
  let answer: Answer = {};
  for (const [program = "", ...args] of commands) {
    const { code, stdout, stderr } = await run(join(root, program), args, { env });
    answer = {
      code,
      stdout: `${answer.stdout ?? ""}${stdout}`,
      stderr: `${answer.stderr ?? ""}${stderr}`,
    };
    if (code !== 0) break;
  }
  return answer;
}

async function writeFiles(host: Host, index: number, members: number): Promise<void> {
  const units = host.path("/etc/systemd/system");
  await mkdir(units, { recursive: true });
  await writeFile(join(units, "etcd.service"), await readFile(join(systemdExamples, "etcd.service")));
  const example = await readFile(join(systemdExamples, "etcd.env"), "utf8");
  const all = Array.from({ length: members }, (_, i) => `etcd${i + 1}=https://10.0.0.${11 + i}:2380`);
  // The first line of the example tells which values to replace.
  const [own = "", shared = ""] = example.split("ETCD_INITIAL_CLUSTER=");
  const ownSettings = own.replaceAll("etcd1", `etcd${index}`).replaceAll("10.0.0.11", `10.0.0.${10 + index}`);
  const text = `${ownSettings}ETCD_INITIAL_CLUSTER=${all.join(",")}${shared.slice(shared.indexOf("\n"))}`;
  await writeFile(host.path("/etc/etcd/etcd.env"), host.here(text));
}

/** Writes the example with the values of the test. */
async function writeBackupEnv(host: Host, env: Record<string, string>): Promise<void> {
  const example = await readFile(join(systemdExamples, "backup.env"), "utf8");
  const text = host
    .here(example)
    .replaceAll(/^(ETCD_BACKUP_STORE|AWS_\w+)=.*$/gm, (_, key: string) => `${key}=${env[key] ?? ""}`);
  await writeFile(host.path("/etc/etcd/backup.env"), text, { mode: 0o600 });
}

async function writeCertificates(authority: Authority, host: Host): Promise<void> {
  const folder = host.path("/etc/etcd/pki");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "ca.crt"), authority.caPem);
  for (const name of ["server", "peer", "client"]) {
    const { certPem, keyPem } = await authority.issue({
      commonName: name,
      hosts: ["127.0.0.1", "localhost"],
    });
    await writeFile(join(folder, `${name}.crt`), certPem);
    await writeFile(join(folder, `${name}.key`), keyPem, { mode: 0o600 });
  }
}
