import { after, before, describe } from "node:test";
import { lostClusters } from "./lost-cluster.ts";
import { lostControlPlane } from "./lost-control-plane.ts";
import { scheduled } from "./scheduled.ts";
import { startSite, type Site } from "./site.ts";

describe("the operator on a Kubernetes node, installed by Helm into kube-system", {
  concurrency: false,
}, () => {
  let site: Site;
  before(async () => {
    site = await startSite();
  });
  after(() => site[Symbol.asyncDispose]());

  lostClusters(() => site);
  lostControlPlane(() => site);
  scheduled(() => site);
});
