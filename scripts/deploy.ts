/**
 * Writes deploy/ from the chart with `helm template`. With `--check` it writes nothing, and exits with code 1 when a
 * file differs. It is not part of `npm run generate`, since it needs Helm.
 */
import { deployManifests } from "./deploy-manifests.ts";
import { writeOrCheck } from "./generated-files.ts";

await writeOrCheck(await deployManifests(), "charts/etcd-backup-operator", "npm run generate:deploy");
