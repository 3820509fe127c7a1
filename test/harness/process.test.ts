import assert from "node:assert/strict";
import { once } from "node:events";
import { access, stat } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import { freePorts, run, runOrThrow, startProcess, tempDir } from "./process.ts";

const node = process.execPath;
/** A child that survives would block its test. */
const guard = { timeout: 30_000 };

describe("the environment of a child", () => {
  const leaks = {
    HTTPS_PROXY: "http://127.0.0.1:1",
    no_proxy: "*",
    SSL_CERT_FILE: "/nowhere",
    AWS_CA_BUNDLE: "/nowhere",
    NODE_EXTRA_CA_CERTS: "/nowhere",
    AWS_ACCESS_KEY_ID: "leaked",
    ETCDCTL_ENDPOINTS: "leaked",
    KUBECONFIG: "/nowhere",
  };
  const print = 'console.log(Object.keys(process.env).join("\\n"))';

  /** The names of the variables of a program that uses the harness, or of its child. */
  async function variables(whose: "own" | "child"): Promise<string[]> {
    const harness = JSON.stringify(join(import.meta.dirname, "process.ts"));
    const child = `[process.execPath, ["-e", ${JSON.stringify(print)}], { env: { ADDED: "1" } }]`;
    const ask = `console.log((await run(...${child})).stdout)`;
    const script = `const { run } = await import(${harness}); ${whose === "own" ? print : ask};`;
    const env = { ...leaks, SOME_SETTING: "1" };
    return (await runOrThrow(node, ["--input-type=module", "-e", script], { env })).split("\n");
  }

  it("holds the allowed variables and the added ones", async () => {
    const names = await variables("child");
    assert.deepEqual(
      names.filter((name) => name in leaks || name === "SOME_SETTING"),
      [],
    );
    assert.ok(names.includes("ADDED"));
    assert.ok(names.includes("PATH"));
  });

  it("and of the tests themselves holds no proxy, CA bundle or credentials of the machine", async () => {
    const names = await variables("own");
    assert.deepEqual(
      names.filter((name) => name in leaks),
      [],
    );
    assert.ok(names.includes("SOME_SETTING"));
  });
});

describe("a started process", () => {
  it("ends when it is stopped, also while it is paused", async () => {
    await using process = startProcess("sleep", ["600"]);
    process.pause();
    await process.stop();
    assert.deepEqual(await process.exited, { code: null, signal: "SIGTERM" });
  });

  it("keeps the last 256 KiB of its output, of both streams", async () => {
    const script = 'process.stdout.write("x".repeat(2e6), () => console.error("the last line"))';
    await using process = startProcess(node, ["-e", script]);
    await process.exited;
    assert.equal(process.output().length, 256 * 1024);
    assert.match(process.output(), /x{1000}/);
    assert.match(process.output(), /the last line/);
  });

  it("is refused with a clear message when there is no such program", () => {
    assert.throws(() => startProcess("/nowhere/etcd", [], { name: "etcd" }), /cannot start etcd/);
  });

  for (const [ending, signal, expected] of [
    ["wait", "SIGINT", { code: null, signal: "SIGINT" }],
    ["wait", "SIGTERM", { code: null, signal: "SIGTERM" }],
    ["wait", "SIGHUP", { code: null, signal: "SIGHUP" }],
    ["exit", undefined, { code: 3, signal: null }],
    ["throw", undefined, { code: 1, signal: null }],
  ] as const) {
    it(`ends with its parent, whose directories are removed, on ${signal ?? ending}`, guard, async () => {
      await using server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      const address = server.address();
      assert.ok(address !== null && typeof address === "object");
      const fixture = join(import.meta.dirname, "process.fixture.ts");
      await using parent = startProcess(node, [fixture, String(address.port), ending]);
      const [socket]: Socket[] = await once(server, "connection");
      assert.ok(socket !== undefined);
      // A killed process resets its connection or closes it.
      const gone = new Promise<void>((resolve) => {
        socket.on("error", () => {}).once("close", () => resolve());
      });
      socket.resume();
      const [directory = ""] = parent.output().split("\n");
      assert.ok((await stat(directory)).isDirectory());
      if (signal !== undefined) parent.signal(signal);
      await gone;
      assert.deepEqual(await parent.exited, expected);
      await assert.rejects(access(directory), { code: "ENOENT" });
    });
  }
});

describe("a command that runs to its end", () => {
  it("returns its exit code and both streams, and reads its input", async () => {
    const result = await run("sh", ["-c", "cat; echo no >&2; exit 7"], { input: "yes" });
    assert.deepEqual(result, { code: 7, stdout: "yes", stderr: "no\n" });
  });

  it("is killed when its signal is aborted", async () => {
    const controller = new AbortController();
    const running = run("sleep", ["600"], { signal: controller.signal });
    controller.abort();
    await assert.rejects(running, { name: "AbortError" });
  });
});

describe("a resource of a test", () => {
  it("is a port that is free and different each time", async () => {
    const ports = await freePorts(20);
    assert.equal(new Set(ports).size, 20);
    await using server = createServer().listen(ports[0], "127.0.0.1");
    await once(server, "listening");
  });

  it("is a port that no other test process receives, also while no server listens on it", async () => {
    const harness = JSON.stringify(join(import.meta.dirname, "process.ts"));
    const script = `const { freePorts } = await import(${harness}); console.log(JSON.stringify(await freePorts(500)));`;
    const own = await freePorts(500);
    const stdout = await runOrThrow(node, ["-e", script]);
    const others: number[] = JSON.parse(stdout);
    assert.equal(new Set([...own, ...others]).size, 1000);
  });

  it("is a directory that is removed with its content", async () => {
    const directory = await tempDir("resource");
    await runOrThrow("mkdir", ["-p", join(directory.path, "a/b")]);
    await directory[Symbol.asyncDispose]();
    await assert.rejects(access(directory.path), { code: "ENOENT" });
  });
});
