import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OperatorError } from "../../core/errors.ts";
import { type Layout, type LayoutFlags, layoutOf } from "./layout.ts";

const three = "m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380";

/** The members to restore, each as `name data-directory WAL-directory`. */
function members({ members }: Layout): string[] {
  return members.map(({ member, target: { dataDir, walDir } }) =>
    [member.name, dataDir, ...(walDir === undefined ? [] : [walDir])].join(" "),
  );
}

function cluster({ cluster }: Layout): string[] {
  return cluster.map(({ name, peerUrls }) => `${name}=${peerUrls.join()}`);
}

describe("the layout of one member", () => {
  it("is etcd's own default without --initial-cluster", () => {
    const layout = layoutOf({ dataDir: "/data" });
    assert.deepEqual(members(layout), ["default /data"]);
    assert.deepEqual(cluster(layout), ["default=http://localhost:2380"]);
  });

  it("is a cluster of its name and peer URLs without --initial-cluster", () => {
    const urls = "https://10.0.0.1:2380, https://10.0.0.2:2380";
    const layout = layoutOf({ dataDir: "/data", name: "m1", initialAdvertisePeerUrls: urls });
    assert.deepEqual(members(layout), ["m1 /data"]);
    assert.deepEqual(cluster(layout), ["m1=https://10.0.0.1:2380,https://10.0.0.2:2380"]);
  });

  it("is the member of that name in --initial-cluster, and all members are in the cluster", () => {
    const layout = layoutOf({ dataDir: "/data", name: "m2", initialCluster: three });
    assert.deepEqual(members(layout), ["m2 /data"]);
    assert.deepEqual(cluster(layout), three.split(","));
  });

  it("needs no name where --initial-cluster has one member, whatever it is called", () => {
    const layout = layoutOf({ dataDir: "/data", initialCluster: "cp1=https://10.0.0.11:2380" });
    assert.deepEqual(members(layout), ["cp1 /data"]);
    assert.deepEqual(cluster(layout), ["cp1=https://10.0.0.11:2380"]);
  });

  it("has a WAL directory only where --wal-dir names one", () => {
    assert.deepEqual(members(layoutOf({ dataDir: "/data", walDir: "/log" })), ["default /data /log"]);
    const [member] = layoutOf({ dataDir: "/data", walDir: "" }).members;
    assert.deepEqual(member?.target, { dataDir: "/data" });
  });
});

describe("the layout of all members", () => {
  const all = { allMembers: true, initialCluster: three };

  it("puts the member's name into the template, wherever it occurs", () => {
    const layout = layoutOf({ ...all, dataDirTemplate: "/{name}/etcd/{name}.data" });
    assert.deepEqual(members(layout), ["m1 /m1/etcd/m1.data", "m2 /m2/etcd/m2.data", "m3 /m3/etcd/m3.data"]);
    assert.deepEqual(cluster(layout), three.split(","));
  });

  it("has WAL directories where --wal-dir-template names them", () => {
    const layout = layoutOf({ ...all, dataDirTemplate: "/data/{name}", walDirTemplate: "/log/{name}" });
    assert.deepEqual(members(layout), ["m1 /data/m1 /log/m1", "m2 /data/m2 /log/m2", "m3 /data/m3 /log/m3"]);
  });

  it("takes names of letters, digits, dots, dashes and underscores", () => {
    const initialCluster = "etcd-1.prod_A=http://a:2380";
    const layout = layoutOf({ ...all, initialCluster, dataDirTemplate: "/data/{name}" });
    assert.deepEqual(members(layout), ["etcd-1.prod_A /data/etcd-1.prod_A"]);
  });
});

const everyMember = { allMembers: true, initialCluster: three, dataDirTemplate: "/data/{name}" };
const apart = "give each data directory and each WAL directory a path outside the others";
const refusals: Record<string, { flags: LayoutFlags; message: string; hint: string }> = {
  "a learner": {
    flags: { dataDir: "/data", learner: true },
    message: "a restored cluster has voting members only",
    hint: "restore without --learner, start the cluster, then `etcdctl member add NAME --learner --peer-urls=…`",
  },
  "no data directory": {
    flags: { name: "m1", initialCluster: three },
    message: "no data directory was given",
    hint: "add --data-dir DIR",
  },
  "an empty data directory": {
    flags: { dataDir: "" },
    message: "no data directory was given",
    hint: "add --data-dir DIR",
  },
  "a data directory template for one member": {
    flags: { dataDir: "/data", dataDirTemplate: "/data/{name}" },
    message: "--data-dir-template needs --all-members",
    hint: "add --all-members, or give --data-dir DIR instead",
  },
  "a WAL directory template for one member": {
    flags: { dataDir: "/data", walDirTemplate: "/log/{name}" },
    message: "--wal-dir-template needs --all-members",
    hint: "add --all-members, or give --wal-dir DIR instead",
  },
  "no name where --initial-cluster has several members": {
    flags: { dataDir: "/data", initialCluster: three },
    message: "--name is missing, and --initial-cluster has several members",
    hint: "add --name: m1, m2, m3",
  },
  "a name that is not in --initial-cluster": {
    flags: { dataDir: "/data", name: "m4", initialCluster: three },
    message: "--name m4 is not in --initial-cluster, which has m1, m2, m3",
    hint: "use one of the names in --initial-cluster as --name, and the same list on every host",
  },
  "peer URLs that differ from those in --initial-cluster": {
    flags: {
      dataDir: "/data",
      name: "m1",
      initialCluster: three,
      initialAdvertisePeerUrls: "http://10.0.0.9:2380",
    },
    message:
      "--initial-advertise-peer-urls http://10.0.0.9:2380 differs from the peer URLs of m1 in --initial-cluster: http://10.0.0.1:2380",
    hint: "give this member the same peer URLs in both flags",
  },
  "all members, and a name": {
    flags: { ...everyMember, name: "m1" },
    message: "--name cannot be given with --all-members",
    hint: "remove --name and unset ETCD_NAME",
  },
  "all members, and one data directory": {
    flags: { ...everyMember, dataDir: "/data/m1" },
    message: "--data-dir cannot be given with --all-members",
    hint: "remove --data-dir and unset ETCD_DATA_DIR",
  },
  "all members, and one WAL directory": {
    flags: { ...everyMember, walDir: "/log/m1" },
    message: "--wal-dir cannot be given with --all-members",
    hint: "remove --wal-dir and unset ETCD_WAL_DIR",
  },
  "all members, and the peer URLs of one": {
    flags: { ...everyMember, initialAdvertisePeerUrls: "http://10.0.0.1:2380" },
    message: "--initial-advertise-peer-urls cannot be given with --all-members",
    hint: "remove --initial-advertise-peer-urls and unset ETCD_INITIAL_ADVERTISE_PEER_URLS",
  },
  "all members without --initial-cluster": {
    flags: { allMembers: true, dataDirTemplate: "/data/{name}" },
    message: "--all-members needs --initial-cluster",
    hint: "add --initial-cluster m1=https://…,m2=https://…",
  },
  "all members without a template": {
    flags: { allMembers: true, initialCluster: three },
    message: "--all-members needs --data-dir-template",
    hint: "add --data-dir-template '/var/lib/etcd/{name}'",
  },
  "all members in one data directory": {
    flags: { ...everyMember, dataDirTemplate: "/data" },
    message: "--data-dir-template has no {name} in it",
    hint: "write --data-dir-template '/var/lib/etcd/{name}'",
  },
  "all members in one WAL directory": {
    flags: { ...everyMember, walDirTemplate: "/log" },
    message: "--wal-dir-template has no {name} in it",
    hint: "write --wal-dir-template '/var/lib/etcd-wal/{name}'",
  },
  "a member name with a slash": {
    flags: { ...everyMember, initialCluster: "../m1=http://a:2380" },
    message: "member name ../m1 cannot be part of a path",
    hint: "restore this member alone, with --name and --data-dir",
  },
  "a member name of dots": {
    flags: { ...everyMember, initialCluster: "..=http://a:2380" },
    message: "member name .. cannot be part of a path",
    hint: "restore this member alone, with --name and --data-dir",
  },
  "a WAL directory in the data directory": {
    flags: { dataDir: "/data", walDir: "/data/member/wal" },
    message: "/data contains /data/member/wal",
    hint: apart,
  },
  "a data directory in the WAL directory": {
    flags: { dataDir: "/disk/data", walDir: "/disk" },
    message: "/disk contains /disk/data",
    hint: apart,
  },
  "the root as WAL directory": {
    flags: { dataDir: "/data", walDir: "/" },
    message: "/ contains /data",
    hint: apart,
  },
  "one directory for data and WAL, written in two ways": {
    flags: { dataDir: "/data", walDir: "/log/../data/" },
    message: "/data is given twice",
    hint: apart,
  },
  "the WAL directory of one member as the data directory of another": {
    flags: {
      ...everyMember,
      initialCluster: "m1=http://a:2380,m2=http://b:2380,m1-log=http://c:2380",
      walDirTemplate: "/data/{name}-log",
    },
    message: "/data/m1-log is given twice",
    hint: apart,
  },
};

describe("a layout is refused as a usage error, with a hint", () => {
  for (const [what, { flags, message, hint }] of Object.entries(refusals))
    it(what, () => {
      assert.throws(
        () => layoutOf(flags),
        (error) => {
          assert.ok(error instanceof OperatorError, String(error));
          assert.deepEqual(
            { code: error.code, message: error.message, hint: error.hint },
            { code: "Usage", message, hint },
          );
          return true;
        },
      );
    });

  it("but not directories of which one begins with the name of the other", () => {
    assert.deepEqual(members(layoutOf({ dataDir: "/data", walDir: "/data-log" })), [
      "default /data /data-log",
    ]);
  });
});
