/**
 * Writes deploy/ from the chart, by `helm template`. With `--check` it writes nothing and exits 1 where a file differs.
 * Apart from `npm run generate`, since it needs Helm, which is built once.
 */
import { deployManifests } from "./deploy-manifests.ts";
import { settle } from "./generated-files.ts";

await settle(await deployManifests(), "charts/etcd-backup-operator", "npm run generate:deploy");
