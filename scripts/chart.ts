/**
 * Writes what the chart repeats: its CRDs from crds/, the table of values in its README.md from values.yaml, and the
 * version of the program in Chart.yaml. With `--check` it writes nothing and exits 1 where a file differs.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { crdTemplate } from "./chart-crds.ts";
import { valuesTable } from "./chart-values.ts";
import { root, settle } from "./generated-files.ts";

const chart = "charts/etcd-backup-operator";
const read = (path: string): Promise<string> => readFile(join(root, path), "utf8");

const files = new Map<string, string>();
for (const name of (await readdir(join(root, "crds"))).toSorted())
  files.set(`${chart}/templates/crds/${name}`, crdTemplate(await read(`crds/${name}`)));

const table = valuesTable(await read(`${chart}/values.yaml`));
files.set(
  `${chart}/README.md`,
  replaceOnce(
    await read(`${chart}/README.md`),
    /(<!-- from values\.yaml, by npm run generate -->\n).*(<!-- end of values\.yaml -->)/s,
    (_, begin: string, end: string) => `${begin}${table}\n${end}`,
  ),
);

const { version }: { version: string } = JSON.parse(await read("package.json"));
files.set(
  `${chart}/Chart.yaml`,
  replaceOnce(await read(`${chart}/Chart.yaml`), /^appVersion: .*$/m, () => `appVersion: ${version}`),
);

await settle(
  { files, folders: [`${chart}/templates/crds`] },
  "crds/, values.yaml and package.json",
  "npm run generate",
);

function replaceOnce(
  text: string,
  place: RegExp,
  replacement: (match: string, ...groups: string[]) => string,
): string {
  if (!place.test(text)) throw new Error(`nothing matches ${place} in:\n${text.slice(0, 500)}`);
  return text.replace(place, replacement);
}
