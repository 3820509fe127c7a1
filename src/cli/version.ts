import { readFileSync } from "node:fs";

/** The version in package.json: the one place where it stands. */
export function version(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const parsed: unknown = JSON.parse(text);
  const found = typeof parsed === "object" && parsed !== null ? Reflect.get(parsed, "version") : undefined;
  return typeof found === "string" ? found : "0.0.0";
}

export const toolName = "etcd-backup";
