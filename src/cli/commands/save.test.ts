import assert from "node:assert/strict";
import { mkdtempDisposable } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { OperatorError } from "../../core/errors.ts";
import type { Context } from "../context.ts";
import { build } from "../program.ts";

async function save(args: string[], over: Partial<Context> = {}): Promise<unknown> {
  const output = { write: () => true };
  const { signal } = new AbortController();
  const context = { stdout: output, stderr: output, env: {}, signal, now: () => new Date(), ...over };
  return build(context)
    .parseAsync(["save", "--cluster-name", "lab", ...args], { from: "user" })
    .then(
      () => assert.fail("the save succeeded"),
      (error: unknown) => error,
    );
}

/** Arguments of a save from a member that accepts connections and never answers. */
async function withSilentMember(then: (args: string[]) => Promise<void>): Promise<void> {
  await using dir = await mkdtempDisposable(join(tmpdir(), "save-"));
  const server = createServer((socket) => void socket.on("error", () => {}).resume());
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => void sockets.add(socket));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  try {
    await then(["--store", `file://${dir.path}`, "--endpoints", `http://127.0.0.1:${address.port}`]);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

for (const timeout of ["25h", "1500m", "never", "0s"]) {
  test(`--timeout ${timeout} is refused before anything is asked`, async () => {
    const args = ["--store", "file:///dev/null/none", "--endpoints", "http://127.0.0.1:1"];
    const error = await save([...args, "--timeout", timeout]);
    assert.ok(error instanceof OperatorError, String(error));
    assert.equal(error.code, "Usage");
    assert.match(error.message, /^--timeout .* (is longer than 24h|is not a duration)/);
  });
}

test("a save ends at --timeout, and another attempt may succeed", async () => {
  await withSilentMember(async (args) => {
    const error = await save([...args, "--command-timeout", "1m", "--timeout", "300ms"]);
    assert.ok(error instanceof OperatorError, String(error));
    assert.deepEqual([error.code, error.permanent], ["Timeout", false]);
    assert.match(error.message, /^the save was stopped after --timeout 300ms$/);
  });
});

test("a save that Ctrl-C stops is told as stopped, not as late", async () => {
  await withSilentMember(async (args) => {
    const signal = AbortSignal.abort(new OperatorError("Aborted", "stopped by Ctrl-C"));
    const error = await save([...args, "--timeout", "1h"], { signal });
    assert.ok(error instanceof OperatorError, String(error));
    assert.equal(error.code, "Aborted");
  });
});

test("a name that no series can have is refused before anything is asked", async () => {
  const error = await save([
    "--store",
    "file:///dev/null/none",
    "--endpoints",
    "http://127.0.0.1:1",
    "--series",
    "a/b",
  ]);
  assert.ok(error instanceof OperatorError, String(error));
  assert.equal(error.code, "Usage");
  assert.match(error.message, /^series name "a\/b" is not valid/);
});
