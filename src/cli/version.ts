import { readFileSync } from "node:fs";

/** The version in package.json. */
export function programVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const parsed: unknown = JSON.parse(text);
  const value = typeof parsed === "object" && parsed !== null ? Reflect.get(parsed, "version") : undefined;
  return typeof value === "string" ? value : "0.0.0";
}

export const toolName = "etcd-backup";
