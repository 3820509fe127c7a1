import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type CelInput, run } from "@bufbuild/cel";
import { Lua, LuaLibraries } from "wasmoon-lua5.1";
import { parse } from "yaml";
import type { Condition } from "../api/v1alpha1/conditions.ts";

/** A custom resource as the API server returns it. */
export interface Resource {
  kind: string;
  metadata: { generation: number };
  spec: object;
  status: { observedGeneration?: number; conditions?: Condition[] };
}

export interface FluxExpressions {
  kind: string;
  inProgress: string;
  failed: string;
  current: string;
}

/** Health by Argo CD: what a script sets. */
export interface Health {
  status: string;
  message: string;
}

const page = readFileSync(new URL("../../docs/gitops.md", import.meta.url), "utf8");
const documents = [...page.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = ""]) => parse(text));

function documentOf(kind: string) {
  const found = documents.filter((document) => document.kind === kind);
  assert.equal(found.length, 1, `docs/gitops.md has one ${kind}`);
  return found[0];
}

/** The scripts in docs/gitops.md, by kind. */
export function argoScripts(): Map<string, string> {
  const prefix = "resource.customizations.health.etcdbackup.dev_";
  const scripts: [string, string][] = Object.entries<string>(documentOf("ConfigMap").data).map(
    ([key, text]) => {
      assert.ok(key.startsWith(prefix), key);
      return [key.slice(prefix.length), text];
    },
  );
  return new Map(scripts);
}

/** The expressions in docs/gitops.md, by kind. */
export function fluxExpressions(): Map<string, FluxExpressions> {
  const expressions: FluxExpressions[] = documentOf("Kustomization").spec.healthCheckExprs;
  return new Map(expressions.map((each) => [each.kind, each]));
}

/** Runs a script as Argo CD does: with the object as `obj`, and of the libraries the base and `table`. */
export async function argoHealth(script: string, resource: Resource): Promise<Health> {
  const lua = await Lua.create({ openStandardLibs: false });
  try {
    lua.global.loadLibrary(LuaLibraries.Base);
    lua.global.loadLibrary(LuaLibraries.Table);
    const text: unknown = await lua.doString(
      `obj = ${literal(resource)}\nlocal hs = (function()\n${script}\nend)()\nreturn hs.status .. "\\n" .. hs.message`,
    );
    assert.ok(typeof text === "string");
    const [status = "", ...message] = text.split("\n");
    return { status, message: message.join("\n") };
  } finally {
    lua.global.close();
  }
}

/** A Lua expression of this value, with plain tables. */
function literal(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return `{${value.map(literal).join(", ")}}`;
  assert.ok(typeof value === "object" && value !== null);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return `{${fields.map(([key, field]) => `[${quoted(key)}] = ${literal(field)}`).join(", ")}}`;
}

function quoted(text: string): string {
  const bytes = [...Buffer.from(text)].map((byte) => `\\${String(byte).padStart(3, "0")}`);
  return `"${bytes.join("")}"`;
}

/** Evaluates as Flux does: the generation first, then inProgress, failed and current. An error is thrown. */
export function fluxStatus(
  expressions: FluxExpressions,
  resource: Resource,
): "InProgress" | "Failed" | "Current" {
  const { metadata, status } = resource;
  if (status.observedGeneration !== undefined && status.observedGeneration !== metadata.generation)
    return "InProgress";
  if (holds(expressions.inProgress, resource)) return "InProgress";
  if (holds(expressions.failed, resource)) return "Failed";
  return holds(expressions.current, resource) ? "Current" : "InProgress";
}

/** The value of an expression, which has to be a boolean. */
export function holds(expression: string, resource: Resource): boolean {
  const value = run(
    expression,
    Object.fromEntries(Object.entries(resource).map(([key, v]) => [key, input(v)])),
  );
  assert.ok(typeof value === "boolean", `${expression} is a ${typeof value}`);
  return value;
}

/** As cel-go sees a resource: integers are int. */
function input(value: unknown): CelInput {
  if (typeof value === "number" && Number.isInteger(value)) return BigInt(value);
  if (typeof value === "string" || typeof value === "boolean" || typeof value === "number") return value;
  if (Array.isArray(value)) return value.map(input);
  assert.ok(typeof value === "object" && value !== null);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return new Map(fields.map(([key, field]) => [key, input(field)]));
}
