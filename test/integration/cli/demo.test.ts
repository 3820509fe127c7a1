import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { startProcess } from "../../harness/process.ts";
import { eventually } from "../../support/eventually.ts";
import { during, exitOf } from "../../support/running-process.ts";

const demo = join(import.meta.dirname, "..", "..", "demo.ts");

test("the demo backs up and restores a cluster", async () => {
  await using run = startProcess(process.execPath, [demo]);
  const { code } = await exitOf(run, 400);
  const output = run.output();
  assert.equal(code, 0, output);
  for (const expected of [
    /snapshot: follower, lag 0/,
    /Streaming: the operator has read .* of /,
    /etcdbackup.etcdbackup.dev\/prod condition met/,
    /SnapshotSucceeded/,
    /Succeeded +\d+ +1\d\d MB/,
    /page structure +ok +sound/,
    /\| +HASH +\|/,
    /RESTORED +r1 /,
    /"Count" : 6250/,
  ]) {
    assert.match(output, expected);
  }
});

test("Ctrl-C ends the demo and every process that it started", async (t) => {
  if (process.platform !== "linux")
    return t.skip("the test reads the children of a process from /proc, which is Linux only");
  await using run = startProcess(process.execPath, [demo]);
  const writing = async () => /Writing sample data/.test(run.output());
  await during(run, eventually("the demo writes sample data", writing, 60));
  const children = (await readFile(`/proc/${run.pid}/task/${run.pid}/children`, "utf8")).trim().split(" ");
  assert.ok(
    children.length >= 6,
    `three etcd members, the API server with its etcd, S3, the operator: ${children.length}`,
  );
  run.signal("SIGINT");
  const { code } = await exitOf(run);
  assert.equal(code, 130, run.output());
  for (const pid of children) {
    assert.throws(() => process.kill(Number(pid), 0), { code: "ESRCH" }, `process ${pid} still runs`);
  }
});
