import assert from "node:assert/strict";
import { basename } from "node:path";
import { describe, it } from "node:test";
import {
  createdMark,
  directoriesOf,
  isWorkFolder,
  markerFile,
  workFolder,
  workLayout,
} from "./work-layout.ts";

describe("workLayout", () => {
  it("puts the snapshot and the restored data into the data directory", () => {
    assert.deepEqual(workLayout({ dataDir: "/var/lib/etcd/data" }, "0a1b"), {
      snapshot: "/var/lib/etcd/data/.restoring-0a1b/snapshot.db",
      dataDir: "/var/lib/etcd/data/.restoring-0a1b/data",
      walDir: undefined,
    });
  });

  it("puts a WAL that lies apart into the WAL directory", () => {
    const { walDir } = workLayout({ dataDir: "/data", walDir: "/disk/wal" }, "0a1b");
    assert.equal(walDir, "/disk/wal/.restoring-0a1b/wal");
  });

  it("names folders that are recognized as work folders", () => {
    const [, name = ""] = /([^/]+)$/.exec(workFolder("/data", "0a1b")) ?? [];
    assert.ok(isWorkFolder(name));
    for (const other of ["member", "lost+found", "restoring-0a1b", basename(createdMark("/data"))])
      assert.ok(!isWorkFolder(other));
  });
});

it("the marker lies in the folder that makes etcd take the data for a member", () => {
  assert.equal(markerFile("/data"), "/data/member/restored.json");
});

it("a target has a WAL directory only where it is given", () => {
  assert.deepEqual(directoriesOf({ dataDir: "/data" }), [["data directory", "/data"]]);
  assert.deepEqual(directoriesOf({ dataDir: "/data", walDir: "/wal" }), [
    ["data directory", "/data"],
    ["WAL directory", "/wal"],
  ]);
});
