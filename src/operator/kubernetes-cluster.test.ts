import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { clientOver } from "../kube/client.ts";
import { json } from "../kube/memory-api/http.fixture.ts";
import { noRoute } from "../kube/memory-api/memory-api.fixture.ts";
import { kubernetesClusterOf } from "./kubernetes-cluster.ts";

const { signal } = new AbortController();
const minuteMs = 60_000;

/** A reader whose API server fails with these HTTP statuses, then answers with the namespace. 0: it cannot be reached. */
function reader(...statuses: number[]) {
  let requests = 0;
  let now = 0;
  const read = kubernetesClusterOf(
    clientOver({
      server: "memory://api",
      namespace: "default",
      async exchange() {
        const status = statuses[requests++];
        if (status === 0) throw noRoute();
        return status === undefined
          ? json(200, { metadata: { name: "kube-system", uid: "uid-1" } })
          : json(status, { kind: "Status", message: "no", details: { name: "kube-system" } });
      },
      async reload() {},
      async [Symbol.asyncDispose]() {},
    }),
    () => now,
  );
  return {
    read: () => read(signal),
    after: (minutes: number) => void (now += minutes * minuteMs),
    requests: () => requests,
  };
}

describe("the UID of the Kubernetes cluster", () => {
  it("is read once", async () => {
    const { read, requests } = reader();
    assert.deepEqual([await read(), await read(), requests()], ["uid-1", "uid-1", 1]);
  });

  it("is unknown where the operator may not read it, and is asked for again after five minutes", async () => {
    const { read, after, requests } = reader(403, 403);
    assert.equal(await read(), undefined);
    after(4);
    assert.deepEqual([await read(), requests()], [undefined, 1]);
    after(1);
    assert.deepEqual([await read(), requests()], [undefined, 2]);
    after(5);
    assert.equal(await read(), "uid-1");
  });

  for (const [failure, ...statuses] of [
    ["while the API server cannot be reached", 0],
    // The client reads its credentials anew and repeats the call.
    ["while the credentials are not accepted", 401, 401],
  ] as const) {
    it(`fails ${failure}, and is asked for again at once`, async () => {
      const { read } = reader(...statuses);
      await assert.rejects(read(), { permanent: false });
      assert.equal(await read(), "uid-1");
    });
  }

  it("is asked for again at once where the namespace does not exist yet", async () => {
    const { read } = reader(404);
    assert.deepEqual([await read(), await read()], [undefined, "uid-1"]);
  });
});
