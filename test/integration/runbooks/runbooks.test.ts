import assert from "node:assert/strict";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { binary } from "../../harness/binaries.ts";
import { s3Store } from "../../harness/etcd-backup.ts";
import { run, tempDir } from "../../harness/process.ts";
import { type S3Server, startS3 } from "../../harness/s3-server.ts";
import { composeServices, startComposeHost } from "./compose.ts";
import type { Host } from "./host.ts";
import { startKubeadmNodes } from "./kubelet.ts";
import { type SystemdHost, startSystemdHosts, systemdExamples } from "./systemd.ts";
import { eventually } from "../../support/eventually.ts";
import { type Block, type Page, blocksOf, examplesOf, readPage, runbooks, walk } from "./pages.ts";

const pages = (await readdir(runbooks)).filter((name) => name.endsWith(".md")).toSorted();
/** Line numbers of the blocks that ran, by page. */
const ran = new Map<string, Set<number>>(pages.map((name) => [name, new Set()]));

let s3: S3Server;
let directory: { path: string } & AsyncDisposable;
before(async () => {
  directory = await tempDir("runbooks");
  s3 = await startS3();
});
after(async () => {
  await s3[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

let walks = 0;
/** A directory and a store for one walk, and the variables of its blocks. */
async function newWalk(page: Page) {
  walks += 1;
  const bucket = `backups-${walks}`;
  const walkDirectory = join(directory.path, bucket);
  await mkdir(walkDirectory);
  await s3.createBucket(bucket);
  const { url, env } = s3Store(s3, bucket, "clusters");
  const variables: Record<string, string> = {
    ...env,
    ETCD_BACKUP_STORE: url,
    KUBECACHEDIR: join(walkDirectory, "kubectl"),
    OLD_ETCDUTL: await binary("etcdutl", "3.5"),
    OWNER: String(process.getuid?.() ?? 0),
    GROUP: String(process.getgid?.() ?? 0),
  };
  return { directory: walkDirectory, examples: examplesOf(page), env: variables };
}

async function bash(host: Host, script: string): Promise<string> {
  const { code, output } = await host.bash(script);
  assert.equal(code, 0, `${host.name}: ${script}\n${output}`);
  return output;
}

/** Puts keys, makes a backup, and puts a key that the backup lacks. Returns the backup's name. */
async function seed(host: Host, cluster = "prod"): Promise<string> {
  await bash(
    host,
    `for i in 1 2 3 4; do etcdctl put /seed/$i "value $i"; done
     etcdctl put /seed/1 overwritten
     etcdctl del /seed/4`,
  );
  const saved = await bash(host, `etcd-backup save --quiet --cluster-name ${cluster} -o json`);
  await bash(host, "etcdctl put /later 'is not in the backup'");
  return (JSON.parse(saved) as { name: string }).name;
}

/** The cluster has this many members, the keys of `seed` and no later key, and a revision beyond the bump. */
async function assertRestored(host: Host, members: number): Promise<void> {
  await assertHoldsSeed(host);
  const list = (await bash(host, "etcdctl member list")).trim().split("\n");
  assert.equal(list.filter((line) => /, started, .*, false$/.test(line)).length, members, list.join("\n"));
  assert.equal((await bash(host, "etcdctl get /later")).trim(), "", "no key from after the backup");
  const revision = /"revision":(\d+)/.exec(await bash(host, "etcdctl get x -w json"))?.[1];
  assert.ok(Number(revision) > 1_000_000_000, `revision ${revision}`);
}

async function assertHoldsSeed(host: Host): Promise<void> {
  const others = [2, 3].map((i) => `/seed/${i}\nvalue ${i}`);
  const pairs = await bash(host, "etcdctl get --prefix /seed/");
  assert.equal(pairs.trim(), ["/seed/1\noverwritten", ...others].join("\n"));
}

interface Choices {
  way?: string;
  /** The name of the backup that the reader has to choose. */
  backup?: () => Promise<string>;
}

async function follow(page: Page, hosts: readonly Host[], { way, backup }: Choices = {}): Promise<void> {
  const before = async (block: Block): Promise<void> => {
    if (backup === undefined || !block.text.includes("export BACKUP=")) return;
    const name = await backup();
    for (const host of hosts) await bash(host, `BACKUP=${name}`);
  };
  const walked = await walk(page, hosts, { before, ...(way === undefined ? {} : { way }) });
  for (const line of walked) ran.get(page.name)?.add(line);
}

function newest(list: string): string {
  return (JSON.parse(list) as { name: string }[])[0]?.name ?? "";
}

async function systemd(page: Page, members = 3): Promise<{ hosts: SystemdHost[] } & AsyncDisposable> {
  return startSystemdHosts({ ...(await newWalk(page)), members });
}

async function loseDisk(host: SystemdHost): Promise<void> {
  await host.powerOff();
  await rm(host.path("/var/lib/etcd"), { recursive: true });
}

// Two at a time, since a walk mostly waits for elections and for servers to stop.
describe("the steps of", { timeout: 300_000, concurrency: 2 }, () => {
  it("external-systemd.md restore three members, and its units back them up", async () => {
    const page = await readPage("external-systemd.md");
    await using cluster = await systemd(page);
    const { hosts } = cluster;
    const [first] = hosts;
    assert.ok(first !== undefined);
    const name = await seed(first);
    for (const host of hosts) await loseDisk(host);
    await follow(page, hosts, { backup: async () => name });
    await assertRestored(first, 3);
  });

  for (const way of ["learner", "plain"])
    it(`lost-member.md replace one of three members (${way})`, async () => {
      const page = await readPage("lost-member.md");
      await using cluster = await systemd(page);
      const { hosts } = cluster;
      const [first, , third] = hosts;
      assert.ok(first !== undefined && third !== undefined);
      await seed(first);
      await loseDisk(third);
      await follow(page, hosts, { way });
      await assertHoldsSeed(third);
      const alone = await bash(third, "ETCDCTL_ENDPOINTS=https://10.0.0.13:2379; etcdctl get /later");
      assert.match(alone, /is not in the backup/, "the member has the later key, so nothing was restored");
    });

  it("quorum-lost.md restore three members from the last backup", async () => {
    const page = await readPage("quorum-lost.md");
    await using cluster = await systemd(page);
    const { hosts } = cluster;
    const [first, ...others] = hosts;
    assert.ok(first !== undefined);
    const name = await seed(first);
    for (const host of others) await loseDisk(host);
    await untilWithoutLeader(first);
    await follow(page, hosts, { way: "backup", backup: async () => name });
    await assertRestored(first, 3);
  });

  it("quorum-lost.md restore five members from two survivors, with keys that the last backup lacks", async () => {
    const page = await readPage("quorum-lost.md");
    await using cluster = await systemd(page, 5);
    const { hosts } = cluster;
    const [first] = hosts;
    assert.ok(first !== undefined);
    await seed(first);
    const survivors = hosts.slice(0, 2);
    for (const survivor of survivors) await untilAppliedBy(survivor);
    for (const host of hosts.slice(2)) await loseDisk(host);
    for (const survivor of survivors) await untilWithoutLeader(survivor);
    const backup = async () => newest(await bash(first, "etcd-backup list -o json"));
    await follow(page, hosts, { way: "survivor", backup });
    await assertHoldsSeed(first);
    assert.match(await bash(first, "etcdctl get /later"), /is not in the backup/);
  });

  it("quorum-lost.md restore three members from a copy of a survivor's directory with etcdutl", async () => {
    const page = await readPage("quorum-lost.md");
    await using cluster = await systemd(page);
    const { hosts } = cluster;
    const [first, ...others] = hosts;
    assert.ok(first !== undefined);
    await seed(first);
    await untilAppliedBy(first);
    for (const host of others) await loseDisk(host);
    await untilWithoutLeader(first);
    await follow(page, hosts, { way: "copy" });
    await assertHoldsSeed(first);
    assert.match(await bash(first, "etcdctl get /later"), /is not in the backup/);
  });

  it("compose.md restore three members by one command", async () => {
    const page = await readPage("compose.md");
    await using host = await startComposeHost(await newWalk(page));
    await seed(host, "compose");
    await follow(page, [host]);
    await assertRestored(host, 3);
  });

  it("kubeadm-single.md restore etcd, and the API server continues with it", async () => {
    const page = await readPage("kubeadm-single.md");
    await using cluster = await startKubeadmNodes({ ...(await newWalk(page)), nodes: 1, apiServer: true });
    const [node] = cluster.nodes;
    assert.ok(node !== undefined);
    await eventually("the API server is ready", async () => {
      return (await node.bash("kubectl get --raw /readyz")).code === 0;
    });
    await bash(node, "kubectl create namespace earlier");
    await seed(node);
    await bash(node, "kubectl create namespace later");
    await follow(page, [node]);
    await assertRestored(node, 1);
    assert.match(await bash(node, "kubectl get namespace earlier"), /Active/);
    const later = await node.bash("kubectl get namespace later");
    assert.match(later.output, /NotFound/);
    await bash(node, "kubectl create namespace afterwards");
  });

  it("kubeadm-stacked.md restore three members with the manifests of kubeadm", async () => {
    const page = await readPage("kubeadm-stacked.md");
    await using cluster = await startKubeadmNodes({ ...(await newWalk(page)), nodes: 3, apiServer: false });
    const { nodes } = cluster;
    const [first] = nodes;
    assert.ok(first !== undefined);
    const backup = await seed(first);
    await follow(page, nodes, { backup: async () => backup });
    await assertRestored(first, 3);
  });
});

describe("the pages and examples of the runbooks", () => {
  it("have no block that was neither run nor marked as not run", async (t) => {
    for (const name of pages) {
      const { blocks } = await readPage(name);
      for (const block of blocks)
        if (block.kind === "not run") t.diagnostic(`${name}:${block.line} is not run: ${block.reason}`);
        else assert.ok(ran.get(name)?.has(block.line), `${name}:${block.line} did not run in any walk`);
    }
    t.diagnostic(
      "systemctl, crictl, docker and scp are stand-ins that start and stop processes and copy files",
    );
  });

  it("link only to existing files and headings", async () => {
    for (const name of pages) {
      const { text } = await readPage(name);
      for (const [, target = "", anchor] of text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)) {
        const file = target === "" ? join(runbooks, name) : join(runbooks, target);
        const linked = await readFile(file, "utf8").catch(() => undefined);
        assert.ok(linked !== undefined, `${name} links to ${target}`);
        if (anchor !== undefined)
          assert.ok(anchorsOf(linked).includes(anchor), `${name}: ${target}#${anchor}`);
      }
    }
  });

  it("must have a comment before each block", () => {
    assert.throws(
      () => blocksOf("page.md", "\n```sh\nrm -rf /\n```\n"),
      /page\.md:2: the sh block has no comment/,
    );
    assert.throws(() => blocksOf("page.md", "<!-- not run: -->\n```sh\nx\n```\n"), /no comment/);
    assert.throws(() => blocksOf("page.md", "<!-- run: on=each -->\n```text\nx\n```\n"), /no comment/);
    assert.throws(() => blocksOf("page.md", "```\nx\n```\n"), /either sh or text/);
  });

  it("have systemd units that systemd-analyze accepts", async (t) => {
    const names = (await readdir(systemdExamples)).filter((name) => /\.(service|timer)$/.test(name));
    const folder = join(directory.path, "units");
    await mkdir(folder);
    for (const name of names) {
      // The programs of the units are not installed here.
      const unit = await readFile(join(systemdExamples, name), "utf8");
      await writeFile(join(folder, name), unit.replaceAll(/^ExecStart=\S+/gm, "ExecStart=/bin/sh"));
    }
    const paths = names.map((name) => join(folder, name));
    const { code, stdout, stderr } = await run("systemd-analyze", ["verify", "--man=no", ...paths]).catch(
      () => {
        t.skip("systemd-analyze is not installed");
        return { code: 0, stdout: "", stderr: "" };
      },
    );
    // The output may have warnings about units of the machine.
    const ownUnits = `${stdout}${stderr}`.split("\n").filter((line) => line.includes("etcd"));
    assert.deepEqual({ code, ownUnits }, { code: 0, ownUnits: [] });
  });

  it("have a compose file with three members of one 3.6 release, each with its own directory and port", async () => {
    const services = Object.entries(await composeServices());
    assert.deepEqual(
      services.map(([name]) => name),
      ["etcd1", "etcd2", "etcd3"],
    );
    const distinct = (all: string[]) => new Set(all).size;
    assert.match(services[0]?.[1].image ?? "", /:v3\.6\.\d+$/);
    assert.equal(distinct(services.map(([, { image }]) => image)), 1);
    assert.equal(distinct(services.flatMap(([, { volumes }]) => volumes)), 3);
    assert.equal(distinct(services.flatMap(([, { ports }]) => ports)), 3);
    const flag = (command: string[], name: string) =>
      command.find((arg) => arg.startsWith(`--${name}=`)) ?? "";
    for (const [name, { command }] of services) {
      assert.equal(flag(command, "name"), `--name=${name}`);
      assert.equal(
        flag(command, "initial-advertise-peer-urls"),
        `--initial-advertise-peer-urls=http://${name}:2380`,
      );
    }
    assert.equal(distinct(services.map(([, { command }]) => flag(command, "initial-cluster"))), 1);
  });
});

/** The anchors that GitHub derives from headings. */
function anchorsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w -]/g, "")
      .replaceAll(" ", "-"),
  );
}

/** Waits until the host's member has applied the key /later: a follower applies an entry some time after the commit. */
async function untilAppliedBy(host: Host): Promise<void> {
  const own = ownEndpoint(host, "get --consistency=s /later");
  await eventually(`${host.name} has applied all`, async () => (await bash(host, own)).includes("is not"));
}

/** Waits until the host's member has no leader: it notices the loss only after its election timeout. */
async function untilWithoutLeader(host: Host): Promise<void> {
  const own = ownEndpoint(host, "endpoint status");
  await eventually(`${host.name} has no leader`, async () => (await bash(host, own)).includes("no leader"));
}

function ownEndpoint({ name }: Host, command: string): string {
  return `ETCDCTL_ENDPOINTS=https://10.0.0.1${name.replace("etcd", "")}:2379 etcdctl ${command}`;
}
