import assert from "node:assert/strict";
import { test } from "node:test";
import { OperatorError } from "../core/errors.ts";
import { createLog } from "./log.ts";

function logged(fields: object, level = "info"): { text: string; line: Record<string, unknown> } {
  const lines: string[] = [];
  const log = createLog({ level, destination: { write: (line) => void lines.push(line) } });
  log.warn(fields, "something happened");
  const text = lines.join("");
  return { text, line: JSON.parse(text) };
}

const secret = "hunter2-do-not-print";

test("a line is JSON with app, level by name, ISO time and message", () => {
  const { line, text } = logged({ controller: "backup" });
  assert.equal(line["app"], "etcd-backup-operator");
  assert.equal(line["level"], "warn");
  assert.equal(line["msg"], "something happened");
  assert.equal(line["controller"], "backup");
  assert.match(String(line["time"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.ok(text.endsWith("\n"));
});

test("the level is a threshold", () => {
  const lines: string[] = [];
  const log = createLog({ level: "error", destination: { write: (line) => void lines.push(line) } });
  log.warn("no");
  log.error("yes");
  assert.equal(lines.length, 1);
});

for (const where of ["config", "auth", "headers"]) {
  test(`values of keys that name secrets below ${where} are redacted, at the top and one level down`, () => {
    for (const name of [
      "password",
      "secretAccessKey",
      "sessionToken",
      "authorization",
      "Authorization",
      "token",
      "key",
      "tls",
      "credentials",
    ]) {
      for (const fields of [
        { [where]: { [name]: secret, user: "kept" } },
        { request: { [where]: { [name]: secret, user: "kept" } } },
        { [where]: { [name]: { nested: secret }, user: "kept" } },
      ]) {
        const { text } = logged(fields);
        assert.ok(!text.includes(secret), `${where}.${name}: ${text}`);
        assert.match(text, /\[redacted\]/);
        assert.match(text, /"user":"kept"/);
      }
    }
  });
}

test("an error of a library is logged with name, message and stack, without its other properties", () => {
  const error = Object.assign(new TypeError("it broke"), {
    request: { headers: { authorization: secret } },
    $response: secret,
    config: { password: secret },
  });
  const { text, line } = logged({ err: error });
  assert.ok(!text.includes(secret), text);
  const { name, message, stack } = line["err"] as Record<string, unknown>;
  assert.deepEqual({ name, message }, { name: "TypeError", message: "it broke" });
  assert.match(String(stack), /log\.test\.ts/);
});

test("an OperatorError is logged with code, permanence and hint, and with a stack only when it is Internal", () => {
  const refused = new OperatorError("Unauthorized", "not yours", { hint: "ask" });
  const { err } = logged({ err: refused }).line;
  assert.deepEqual(err, {
    name: "OperatorError",
    message: "not yours",
    code: "Unauthorized",
    permanent: false,
    hint: "ask",
  });
  const bug = logged({ err: new OperatorError("Internal", "bug") }).line["err"] as { stack?: string };
  assert.match(bug.stack ?? "", /log\.test\.ts/);
});

test("of a cause only the message is logged", () => {
  const cause = Object.assign(new Error("connect ECONNREFUSED"), {
    request: { headers: { Authorization: secret } },
    cause: new Error(secret),
  });
  const { text, line } = logged({ err: new OperatorError("Unreachable", "no answer", { cause }) });
  assert.ok(!text.includes(secret), text);
  assert.equal((line["err"] as { cause?: unknown }).cause, "connect ECONNREFUSED");
});

test("a thrown value that is not an Error is logged as text", () => {
  assert.deepEqual(logged({ err: "just text" }).line["err"], { message: "just text" });
  assert.deepEqual(logged({ err: undefined }).line["err"] ?? null, null);
});

test("child loggers redact as well", () => {
  const lines: string[] = [];
  const log = createLog({ level: "info", destination: { write: (line) => void lines.push(line) } });
  log.child({ backup: "a/b", auth: { password: secret } }).info({ config: { token: secret } }, "hello");
  assert.ok(!lines.join("").includes(secret), lines.join(""));
  assert.match(lines.join(""), /"backup":"a\/b"/);
});
