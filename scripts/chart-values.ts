import { isCollection, isMap, isScalar, parseDocument, type Pair, type YAMLMap } from "yaml";

/**
 * The values of a chart as a Markdown table. A key after a comment `# -- …` is a row with its default and the comment.
 * A key without one has to be a map, whose keys are described in turn.
 */
export function valuesTable(valuesYaml: string): string {
  const document = parseDocument(valuesYaml);
  if (document.errors.length > 0 || !isMap(document.contents))
    throw new Error(`values.yaml is not a map: ${document.errors.join("; ")}`);
  const rows = rowsOf(document.contents, []);
  return [row("Value", "Default", "Meaning"), row("---", "---", "---"), ...rows].join("\n");
}

function rowsOf(map: YAMLMap, path: readonly string[]): string[] {
  return map.items.flatMap((pair, index) => {
    const key = keyOf(pair);
    const keyPath = [...path, key];
    // The parser stores the comment before the first key of a map with the map itself.
    const before = (isScalar(pair.key) && pair.key.commentBefore) || (index === 0 && map.commentBefore) || "";
    const [, meaning] = /(?:^|\n) -- ([\s\S]*)$/.exec(before) ?? [];
    if (meaning !== undefined) return [row(`\`${keyPath.join(".")}\``, inline(pair), meaning)];
    if (!isMap(pair.value))
      throw new Error(`values.yaml: ${keyPath.join(".")} has no comment that begins with --`);
    return rowsOf(pair.value, keyPath);
  });
}

function keyOf({ key }: Pair): string {
  if (!isScalar(key) || typeof key.value !== "string") throw new Error("values.yaml: a key is not a string");
  return key.value;
}

function inline({ value }: Pair): string {
  const plain: unknown = isScalar(value) || isCollection(value) ? value.toJSON() : value;
  return `\`${JSON.stringify(plain)}\``;
}

function row(...cells: string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("\n", " ").replaceAll("|", "\\|")).join(" | ")} |`;
}
