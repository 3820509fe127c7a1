import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { type RunningProcess, freePorts, startProcess } from "../../harness/process.ts";
import { type Answer, type Host, startHost, untilHealthy } from "./host.ts";

const example = join(import.meta.dirname, "..", "..", "..", "deploy", "examples", "compose", "compose.yaml");

export interface ComposeService {
  image: string;
  command: string[];
  ports: string[];
  volumes: string[];
}

/** The services of the example, with its YAML anchors merged. */
export async function composeServices(): Promise<Record<string, ComposeService>> {
  const text = await readFile(example, "utf8");
  return (parse(text, { merge: true }) as { services: Record<string, ComposeService> }).services;
}

export interface ComposeOptions {
  directory: string;
  examples: ReadonlyMap<string, string>;
  env: Record<string, string>;
}

/**
 * A host with the example in /srv/etcd and running members: the commands of the file run as processes of this machine.
 * An address of a container is a port here, and a volume is the directory itself.
 */
export async function startComposeHost(options: ComposeOptions): Promise<Host> {
  const services = Object.entries(await composeServices());
  const ports = await freePorts(2 * services.length);
  const addresses = services.flatMap(([name, service], i) => [
    [`${name}:2380`, `127.0.0.1:${ports[2 * i]}`] as const,
    [published(service), `127.0.0.1:${ports[2 * i + 1]}`] as const,
  ]);
  const containers = new Map<string, RunningProcess>();
  const directory = join(options.directory, "docker");
  await mkdir(directory, { recursive: true });
  const root = join(directory, "root");
  const launch = (name: string, service: ComposeService): void => {
    const peer = new Map(addresses).get(`${name}:2380`) ?? "";
    const client = new Map(addresses).get(published(service)) ?? "";
    const inside = (arg: string): string =>
      // Clients on the host do not use the advertised URLs.
      arg.startsWith("--advertise-client-urls=")
        ? arg
        : host.here(arg.replace("0.0.0.0:2380", peer).replace("0.0.0.0:2379", client));
    const [volume = "", target = ""] =
      service.volumes[0]?.replace("${DATA:-./data}", "/srv/etcd/data").split(":") ?? [];
    const args = service.command
      .slice(1)
      .map((arg) => (arg === `--data-dir=${target}` ? `--data-dir=${join(root, volume)}` : inside(arg)));
    const program = join(root, service.command[0] ?? "");
    containers.set(name, startProcess(program, [...args, "--unsafe-no-fsync"], { name }));
  };
  const docker = async (args: string[]): Promise<Answer> => {
    const [verb, from = "", to = ""] = args;
    if (verb === "compose" && from === "up") {
      for (const [name, service] of services)
        if (containers.get(name)?.running !== true) launch(name, service);
    } else if (verb === "compose" && from === "stop") {
      await Promise.all([...containers.values()].map((container) => container.stop()));
    } else if (verb === "cp") {
      await copyFile(join(root, from.slice(from.indexOf(":") + 1)), join(root, "srv", "etcd", to));
    } else if (verb !== "create" && verb !== "rm") {
      return { code: 1, stderr: `docker ${args.join(" ")}: the stand-in does not know this command\n` };
    }
    return {};
  };
  await using stack = new AsyncDisposableStack();
  stack.defer(
    async () => void (await Promise.all([...containers.values()].map((container) => container.kill()))),
  );
  const host = stack.use(
    await startHost({ ...options, name: "docker", directory, addresses, standIns: { docker } }),
  );
  await mkdir(join(root, "srv", "etcd"), { recursive: true });
  await copyFile(example, join(root, "srv", "etcd", "compose.yaml"));
  await host.bash("docker compose up --detach");
  await untilHealthy(host);
  const started = stack.move();
  return { ...host, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

/** The address at which the host reaches the service. */
function published(service: ComposeService): string {
  return service.ports[0]?.replace(/:2379$/, "") ?? "";
}
