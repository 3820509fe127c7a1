import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { type BinaryName, findBinary, UnavailableBinary } from "./binaries.ts";
import { startProcess, tempDir } from "./process.ts";
import { toolModule } from "./tool-modules.ts";

/** Writes an executable shell script and returns its path. */
async function script(path: string, body: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${body}\n`);
  await chmod(path, 0o755);
  return path;
}

/** A simulated host, with an empty directory in PATH and an empty cache. */
async function emptyHost(): Promise<{ path: string; env: NodeJS.ProcessEnv } & AsyncDisposable> {
  const directory = await tempDir("host");
  const { path } = directory;
  const env = { PATH: `${path}/bin`, XDG_CACHE_HOME: `${path}/cache`, HOME: path };
  return { path, env, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

/** Installs a fake Go command, which records its calls and then runs `build`, with the output's path in $2. */
async function fakeGo(path: string, build: string): Promise<void> {
  const body = [
    `echo "$PWD|$CGO_ENABLED|$GOFLAGS|$*" >> ${path}/calls`,
    'while [ "$1" != -o ]; do shift; done',
    build,
  ];
  await script(`${path}/bin/go`, body.join("\n"));
}

const finishes = 'PATH=/bin:/usr/bin; printf "#!/bin/sh\\n" > "$2"; chmod +x "$2"';

describe("a binary is looked up", () => {
  it("first at the path of its variable", async () => {
    await using host = await emptyHost();
    await script(`${host.path}/bin/minio`, "");
    await script(`${host.path}/bin/etcd`, "echo etcd Version: 3.5.1");
    const minio = await script(`${host.path}/given/minio`, "");
    const etcd = await script(`${host.path}/given/etcd`, "echo anything");
    const env = { ...host.env, MINIO: minio, ETCD_3_5_DIR: `${host.path}/given` };
    assert.equal(await findBinary("minio", "3.6", env), minio);
    assert.equal(await findBinary("etcd", "3.5", env), etcd);
  });

  it("and a variable that names no executable is an error", async () => {
    await using host = await emptyHost();
    await script(`${host.path}/bin/minio`, "");
    await assert.rejects(findBinary("minio", "3.6", { ...host.env, MINIO: "/nowhere" }), UnavailableBinary);
  });

  it("in KUBEBUILDER_ASSETS, except for etcd of another minor version", async () => {
    await using host = await emptyHost();
    const assets = `${host.path}/assets`;
    await script(`${assets}/etcd`, "echo etcd Version: 3.6.4");
    await script(`${assets}/kube-apiserver`, "echo Kubernetes v1.30.0");
    const onPath = await script(`${host.path}/bin/etcd`, "echo etcd Version: 3.5.9");
    const env = { ...host.env, KUBEBUILDER_ASSETS: assets };
    assert.equal(await findBinary("etcd", "3.6", env), `${assets}/etcd`);
    assert.equal(await findBinary("etcd", "3.5", env), onPath);
    assert.equal(await findBinary("kube-apiserver", "3.6", env), `${assets}/kube-apiserver`);
  });

  const onPath: [BinaryName, string, string][] = [
    ["etcd", "etcd Version: 3.5.99", "etcd Version: 3.6.1"],
    ["etcdctl", "etcdctl version: 3.4.0\nAPI version: 3.6", "etcdctl version: 3.6.0\nAPI version: 3.6"],
    ["kube-apiserver", "Kubernetes v1.33.4", "Kubernetes v1.34.9"],
    ["kubectl", "Client Version: v1.32.4", "Client Version: v1.35.0"],
  ];
  for (const [name, old, fitting] of onPath) {
    it(`on PATH, but only ${name} of a fitting version`, async () => {
      await using host = await emptyHost();
      await script(`${host.path}/bin/${name}`, `echo '${old}'`);
      const expected = await script(`${host.path}/later/${name}`, `echo '${fitting}'`);
      const env = { ...host.env, PATH: `${host.path}/bin:${host.path}/later` };
      assert.equal(await findBinary(name, "3.6", env), expected);
    });
  }

  it("in the cache, before anything is built", async () => {
    await using host = await emptyHost();
    await fakeGo(host.path, "exit 1");
    const { cache } = await toolModule("versitygw", "3.6", host.env);
    const cached = await script(join(cache, "versitygw"), "");
    assert.equal(await findBinary("versitygw", "3.6", host.env), cached);
  });
});

describe("an unavailable binary", () => {
  it("is reported on a host without Go, which it needs", async () => {
    await using host = await emptyHost();
    await assert.rejects(findBinary("minio", "3.6", host.env), (error) => {
      assert.ok(error instanceof UnavailableBinary);
      assert.match(error.message, /minio .* must be built, which needs Go/);
      return true;
    });
  });

  it("is reported on a host without apt, which etcd 3.4 needs", async () => {
    await using host = await emptyHost();
    await assert.rejects(findBinary("etcd", "3.4", host.env), (error) => {
      assert.ok(error instanceof UnavailableBinary);
      assert.match(error.message, /Debian's packages .*no apt-get/);
      return true;
    });
  });
});

describe("a missing binary", () => {
  it("is built from its module as a static, reproducible binary that knows its version", async () => {
    await using host = await emptyHost();
    await fakeGo(host.path, finishes);
    const module = await toolModule("kubectl", "3.6", host.env);
    assert.equal(await findBinary("kubectl", "3.6", host.env), join(module.cache, "kubectl"));
    const calls = await readFile(`${host.path}/calls`, "utf8");
    const variable = "-X k8s\\.io/component-base/version\\.";
    assert.match(
      calls,
      new RegExp(
        `^${module.directory}\\|0\\|-mod=readonly\\|build -trimpath -ldflags -s -w ` +
          `${variable}gitVersion=v(1\\.34\\.\\d+) ${variable}gitMajor=1 ${variable}gitMinor=34 ` +
          `-o \\S+ k8s\\.io/kubernetes/cmd/kubectl\n$`,
      ),
    );
    assert.deepEqual(await readdir(module.cache), ["kubectl"]);
  });

  it("is built once for several callers at the same time", async () => {
    await using host = await emptyHost();
    await fakeGo(host.path, finishes);
    const paths = await Promise.all([1, 2, 3, 4].map(() => findBinary("etcdctl", "3.6", host.env)));
    assert.equal(new Set(paths).size, 1);
    const calls = await readFile(`${host.path}/calls`, "utf8");
    assert.equal(calls.trimEnd().split("\n").length, 1);
  });

  it("leaves no file when its build fails, and the error holds the compiler's message", async () => {
    await using host = await emptyHost();
    await fakeGo(host.path, 'echo half > "$2"; echo no such import >&2; exit 1');
    await assert.rejects(findBinary("minio", "3.6", host.env), /minio .* cannot be built .*no such import/s);
    const { cache } = await toolModule("minio", "3.6", host.env);
    assert.deepEqual(await readdir(cache), []);
  });

  for (const signal of ["SIGINT", "SIGKILL"] as const) {
    it(`is built again at once after ${signal} ended a build`, {
      timeout: 20_000,
    }, async () => {
      await using host = await emptyHost();
      // The fake build creates the file go.begun and then never ends.
      await fakeGo(host.path, 'printf half > "$2"; echo begun > "$0.begun"; exec /bin/sleep 600');
      const { cache } = await toolModule("minio", "3.6", host.env);
      const code = `import { findBinary } from ${JSON.stringify(join(import.meta.dirname, "binaries.ts"))};
        import { watch } from "node:fs";
        watch(${JSON.stringify(`${host.path}/bin`)}, (_, name) => name === "go.begun" && process.kill(process.pid, "${signal}"));
        await findBinary("minio", "3.6", ${JSON.stringify(host.env)});`;
      await using builder = startProcess(process.execPath, ["--input-type=module", "-e", code]);
      assert.deepEqual(await builder.exited, { code: null, signal }, builder.output());
      assert.ok(!(await readdir(cache)).includes("minio"));
      await fakeGo(host.path, finishes);
      await findBinary("minio", "3.6", host.env);
      assert.deepEqual(await readdir(cache), ["minio"]);
    });
  }
});
