import { isCollection, isMap, isScalar, parseDocument, type Pair, type YAMLMap } from "yaml";

/**
 * The values of a chart as a Markdown table, described by the comments `# -- …` before their keys. What has such a
 * comment is a row, with its default; what has none is a map that is looked into.
 */
export function valuesTable(valuesYaml: string): string {
  const document = parseDocument(valuesYaml);
  if (document.errors.length > 0 || !isMap(document.contents))
    throw new Error(`values.yaml is no map: ${document.errors.join("; ")}`);
  const rows = rowsOf(document.contents, []);
  return [row("Value", "Default", "Meaning"), row("---", "---", "---"), ...rows].join("\n");
}

function rowsOf(map: YAMLMap, path: readonly string[]): string[] {
  return map.items.flatMap((pair, index) => {
    const key = keyOf(pair);
    const here = [...path, key];
    // The comment before the first key of a map is stored with the map itself.
    const before = (isScalar(pair.key) && pair.key.commentBefore) || (index === 0 && map.commentBefore) || "";
    const [, meaning] = /(?:^|\n) -- ([\s\S]*)$/.exec(before) ?? [];
    if (meaning !== undefined) return [row(`\`${here.join(".")}\``, inline(pair), meaning)];
    if (!isMap(pair.value))
      throw new Error(`values.yaml: ${here.join(".")} has no comment beginning with --`);
    return rowsOf(pair.value, here);
  });
}

function keyOf({ key }: Pair): string {
  if (!isScalar(key) || typeof key.value !== "string") throw new Error("values.yaml: a key is no string");
  return key.value;
}

function inline({ value }: Pair): string {
  const plain: unknown = isScalar(value) || isCollection(value) ? value.toJSON() : value;
  return `\`${JSON.stringify(plain)}\``;
}

function row(...cells: string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("\n", " ").replaceAll("|", "\\|")).join(" | ")} |`;
}
