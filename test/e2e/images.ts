import { chmod, cp, mkdir, readdir, realpath, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { binary } from "../harness/binaries.ts";
import { originalEnvironment } from "../harness/environment.ts";
import { run, runOrThrow } from "../harness/process.ts";

/** Names of the images on the node. They are in no registry. */
export const images = {
  operator: "localhost/etcd-backup-operator:e2e",
  etcd: "localhost/etcd:v3.6.16",
  busybox: "localhost/busybox:e2e",
} as const;

const root = join(import.meta.dirname, "..", "..");
const bases = { build: "localhost/base-build:e2e", runtime: "localhost/base-runtime:e2e" };
const debianCa = "/etc/ssl/certs/ca-certificates.crt";

/**
 * Builds the images of a node into `directory`/*.tar, without a registry or a daemon. The operator's image is built by
 * the project's Dockerfile, with base images of this machine's files. npm needs the network.
 */
export async function buildImages(directory: string): Promise<void> {
  const buildah = await buildahIn(directory);
  await buildah.build(images.busybox, await busybox(join(directory, "busybox")));
  await buildah.build(images.etcd, await etcd(join(directory, "etcd")));
  await buildah.build(bases.build, await buildBase(join(directory, "base-build")));
  await buildah.build(bases.runtime, await runtimeBase(join(directory, "base-runtime")));
  await buildah.build(images.operator, root, [
    `--build-arg=BUILD_IMAGE=${bases.build}`,
    `--build-arg=RUNTIME_IMAGE=${bases.runtime}`,
  ]);
  for (const [name, image] of Object.entries(images))
    await buildah.save(image, join(directory, `${name}.tar`));
}

interface Buildah {
  build(image: string, context: string, args?: string[]): Promise<void>;
  save(image: string, path: string): Promise<void>;
}

/** buildah with its storage, policy and list of registries in the directory. */
async function buildahIn(directory: string): Promise<Buildah> {
  await mkdir(directory, { recursive: true });
  const policy = join(directory, "policy.json");
  const registries = join(directory, "registries.conf");
  await writeFile(policy, JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
  await writeFile(registries, "");
  const storage = ["root", "runroot"].map((kind) => `--${kind}=${join(directory, "storage", kind)}`);
  const general = ["--storage-driver=vfs", ...storage, `--registries-conf=${registries}`];
  const buildah = async (command: string, args: string[]): Promise<void> => {
    const options = { wholeEnv: originalEnvironment() };
    const whole = [...general, command, `--signature-policy=${policy}`, ...args];
    await runOrThrow("buildah", whole, options);
  };
  return {
    build: (image, context, args = []) =>
      buildah("build", [
        "--isolation=chroot",
        "--pull-never",
        "--layers=false",
        `--tag=${image}`,
        ...args,
        context,
      ]),
    save: (image, path) => buildah("push", [image, `docker-archive:${path}:${image}`]),
  };
}

/** Creates a build context in `to`: files by their paths in the image, and a Dockerfile that copies them. */
async function context(to: string, files: Record<string, string>, instructions: string[]): Promise<string> {
  for (const [path, from] of Object.entries(files)) {
    const target = join(to, "root", path);
    await mkdir(dirname(target), { recursive: true });
    await cp(from, target, { recursive: true, dereference: true });
  }
  await mkdir(join(to, "root", "tmp"), { recursive: true });
  await chmod(join(to, "root", "tmp"), 0o1777);
  await writeFile(join(to, "Dockerfile"), ["FROM scratch", "COPY root /", ...instructions, ""].join("\n"));
  return to;
}

/** An image for Pods that only wait, also for pause containers: a shell that exits on SIGTERM. */
async function busybox(to: string): Promise<string> {
  const wait = "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait $!; done";
  const built = await context(to, { "/bin/busybox": "/bin/busybox" }, [
    `ENTRYPOINT ${JSON.stringify(["/bin/sh", "-c", wait])}`,
  ]);
  await applets(built, ["sh", "sleep"]);
  return built;
}

async function applets(to: string, names: string[]): Promise<void> {
  for (const name of names) await symlink("busybox", join(to, "root", "bin", name));
}

async function etcd(to: string): Promise<string> {
  const files: Record<string, string> = {};
  for (const name of ["etcd", "etcdctl", "etcdutl"] as const)
    files[`/usr/local/bin/${name}`] = await binary(name, "3.6");
  return context(to, files, ["ENV PATH=/usr/local/bin"]);
}

/** Replaces the official image of Node.js: node, npm, a shell and its tools. */
async function buildBase(to: string): Promise<string> {
  const env = originalEnvironment();
  const npm = dirname(dirname(await realpath((await runOrThrow("which", ["npm"])).trim())));
  // A machine may trust other authorities than Debian and use its own registry.
  const ca = env["NODE_EXTRA_CA_CERTS"] || debianCa;
  const registry = (
    await runOrThrow("npm", ["config", "get", "registry"], { wholeEnv: env, cwd: root })
  ).trim();
  const files = { ...(await nodeFiles()), "/bin/busybox": "/bin/busybox", "/opt/npm": npm, [debianCa]: ca };
  const built = await context(to, files, [
    `ENV PATH=/usr/local/bin:/bin HOME=/tmp NODE_EXTRA_CA_CERTS=${debianCa} npm_config_registry=${registry}`,
  ]);
  await applets(built, ["sh", "env", "find", "rm", "mkdir", "cp", "chmod"]);
  await mkdir(join(built, "root", "usr", "bin"), { recursive: true });
  await symlink("/bin/busybox", join(built, "root", "usr", "bin", "env"));
  await symlink("/opt/npm/bin/npm-cli.js", join(built, "root", "usr", "local", "bin", "npm"));
  return built;
}

/** Replaces a distroless image with a C library. */
async function runtimeBase(to: string): Promise<string> {
  const { [nodePath]: _, ...libraries } = await nodeFiles();
  return context(to, { ...libraries, [debianCa]: debianCa }, ["USER 65532:65532"]);
}

const nodePath = "/usr/local/bin/node";

/** Parts of the C library that are loaded at run time: Node.js is not linked with them. */
const ofLibc = ["librt.so.1", "libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2"];

/** The Node.js to which the project is pinned, and its libraries. */
async function nodeFiles(): Promise<Record<string, string>> {
  const { stdout } = await run("ldd", [process.execPath]);
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path = ""]) => path);
  const libc = libraries.find((path) => path.endsWith("/libc.so.6"));
  if (libc === undefined) throw new Error(`ldd ${process.execPath} names no C library:\n${stdout}`);
  libraries.push(...ofLibc.map((name) => join(dirname(libc), name)));
  return { [nodePath]: process.execPath, ...Object.fromEntries(libraries.map((path) => [path, path])) };
}

export async function imageFiles(directory: string): Promise<string[]> {
  return (await readdir(directory))
    .filter((name) => name.endsWith(".tar"))
    .map((name) => join(directory, name));
}
