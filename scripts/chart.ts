/**
 * Writes the generated parts of the chart: its CRDs from crds/, the table of values in its README.md from values.yaml,
 * and appVersion in Chart.yaml from package.json. With `--check` it writes nothing, and exits with code 1 when a file
 * differs.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { crdTemplate } from "./chart-crds.ts";
import { valuesTable } from "./chart-values.ts";
import { root, writeOrCheck } from "./generated-files.ts";

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

await writeOrCheck(
  { files, folders: [`${chart}/templates/crds`] },
  "crds/, values.yaml and package.json",
  "npm run generate",
);

function replaceOnce(
  text: string,
  pattern: RegExp,
  replacement: (match: string, ...groups: string[]) => string,
): string {
  if (!pattern.test(text)) throw new Error(`nothing matches ${pattern} in:\n${text.slice(0, 500)}`);
  return text.replace(pattern, replacement);
}
