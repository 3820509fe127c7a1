import { OperatorError } from "../core/errors.ts";

const longestName = 800;
const longestSegment = 200;

/** Why `name` is not a valid object name; undefined when it is valid. */
function faultOf(name: string): string | undefined {
  if (name === "") return "it is empty";
  if (name.length > longestName) return `it is longer than ${longestName} characters`;
  if (!/^[A-Za-z0-9._=/-]+$/.test(name))
    return "only letters, digits and the characters . _ = - / are allowed";
  if (name.includes("..")) return "it contains ..";
  for (const segment of name.split("/")) {
    if (segment === "") return "it begins or ends with /, or contains //";
    if (segment === ".") return "it contains the segment .";
    if (segment.length > longestSegment) return `a segment is longer than ${longestSegment} characters`;
  }
  return undefined;
}

/** Whether a store may hold an object of this name. Files and keys with other names do not belong to the store. */
export function isObjectName(name: string): boolean {
  return faultOf(name) === undefined;
}

/** Throws InvalidConfiguration unless `name` is valid by the rule in store.ts. */
export function checkObjectName(name: string): void {
  const fault = faultOf(name);
  if (fault === undefined) return;
  throw new OperatorError(
    "InvalidConfiguration",
    `${JSON.stringify(name)} is not a valid object name: ${fault}`,
  );
}

/** Throws InvalidConfiguration unless `prefix` is empty or the beginning of a valid name. */
export function checkPrefix(prefix: string): void {
  const completed = /[/.]$/.test(prefix) ? `${prefix}x` : prefix;
  const fault = prefix === "" ? undefined : faultOf(completed);
  if (fault === undefined) return;
  throw new OperatorError(
    "InvalidConfiguration",
    `${JSON.stringify(prefix)} is not the beginning of a valid object name: ${fault}`,
  );
}
