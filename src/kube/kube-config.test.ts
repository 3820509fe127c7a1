import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { inspect } from "node:util";
import { OperatorError } from "../core/errors.ts";
import { openConnection } from "./connection.ts";
import { loadKubeConfig } from "./kube-config.ts";

const directory = await mkdtemp(join(tmpdir(), "kubeconfig-"));
after(() => rm(directory, { recursive: true }));

async function file(path: string, content: string): Promise<string> {
  const full = join(directory, path);
  await mkdir(dirname(full), { recursive: true });
  await writeFile(full, content);
  return full;
}

function config(...names: string[]): string {
  return JSON.stringify({
    clusters: names.map((name) => ({ name, cluster: { server: `https://${name}` } })),
    users: names.map((name) => ({ name, user: {} })),
    contexts: names.map((name) => ({ name, context: { cluster: name, user: name } })),
    "current-context": names[0],
  });
}

const home = join(directory, "home");
await file("home/.kube/config", config("home"));
const given = await file("given", config("given", "second"));
const other = await file("other", config("other"));
const pod = join(directory, "pod");
await file("pod/var/run/secrets/kubernetes.io/serviceaccount/token", "first-token");
const inPod = { KUBERNETES_SERVICE_HOST: "10.96.0.1" };

async function serverOf(source: Parameters<typeof loadKubeConfig>[0]): Promise<string> {
  return (await loadKubeConfig({ env: {}, home: join(directory, "nowhere"), ...source })).cluster.server;
}

describe("the cluster comes from", () => {
  test("the given file, before every other source", async () => {
    assert.equal(
      await serverOf({ kubeconfig: given, env: { KUBECONFIG: other, ...inPod }, root: pod, home }),
      "https://given",
    );
  });

  test("the given context", async () => {
    assert.equal(await serverOf({ kubeconfig: given, context: "second" }), "https://second");
  });

  test("KUBECONFIG, whose first file with a current context decides", async () => {
    const env = { KUBECONFIG: [given, other].join(delimiter), ...inPod };
    assert.equal(await serverOf({ env, root: pod, home }), "https://given");
    assert.equal(await serverOf({ env, context: "other" }), "https://other");
  });

  test("the pod's service account, before the home directory", async () => {
    const { config: loaded } = await loadKubeConfig({ env: inPod, root: pod, home });
    const options: { headers?: Record<string, string> } = {};
    await file("pod/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", "");
    await loaded.applyToHTTPSOptions(options);
    assert.equal(options.headers?.["Authorization"], "Bearer first-token");
  });

  test("the home directory", async () => {
    assert.equal(await serverOf({ home }), "https://home");
    assert.equal(await serverOf({ env: inPod, home }), "https://home", "no service account is mounted");
  });
});

describe("an error tells", () => {
  test("that there is no cluster at all", async () => {
    await assert.rejects(serverOf({}), {
      code: "InvalidConfiguration",
      hint: "give --kubeconfig or set KUBECONFIG",
    });
  });

  test("which contexts there are", async () => {
    await assert.rejects(serverOf({ kubeconfig: given, context: "third" }), {
      code: "InvalidConfiguration",
      message: `the kubeconfig ${given} has no context third`,
      hint: "choose one of given, second",
    });
  });

  test("that a file is missing or not a kubeconfig, without quoting it", async () => {
    const garbage = await file("garbage", "users: [{token: s3cret}\n  }{");
    const empty = await file("empty", "");
    for (const kubeconfig of [join(directory, "missing"), garbage, empty]) {
      await assert.rejects(serverOf({ kubeconfig }), (error) => {
        assert.ok(error instanceof OperatorError && error.code === "InvalidConfiguration");
        assert.ok(!inspect(error).includes("s3cret"));
        return true;
      });
    }
  });

  test("that a file which the kubeconfig names is missing", async () => {
    const users = [{ name: "u", user: { "client-certificate": "missing.crt" } }];
    const kubeconfig = await file("dangling", JSON.stringify({ ...JSON.parse(config("u")), users }));
    await using connection = await openConnection({ kubeconfig });
    const request = { method: "GET", path: "/", headers: {} } as const;
    await assert.rejects(connection.exchange(request, new AbortController().signal), {
      code: "InvalidConfiguration",
      permanent: false,
      message: /the credentials for https:\/\/u cannot be read: .*missing\.crt/,
    });
  });
});
