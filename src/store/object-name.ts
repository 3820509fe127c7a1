import { OperatorError } from "../core/errors.ts";

const longestName = 800;
const longestSegment = 200;

/** Why `name` cannot be an object's name, or undefined when it can. */
function faultOf(name: string): string | undefined {
  if (name === "") return "it is empty";
  if (name.length > longestName) return `it is longer than ${longestName} characters`;
  if (!/^[A-Za-z0-9._=/-]+$/.test(name))
    return "only letters, digits and the characters . _ = - / are allowed";
  if (name.includes("..")) return "it holds ..";
  for (const segment of name.split("/")) {
    if (segment === "") return "it begins or ends with /, or holds //";
    if (segment === ".") return "it holds the segment .";
    if (segment.length > longestSegment) return `a segment is longer than ${longestSegment} characters`;
  }
  return undefined;
}

/** Whether a store may hold an object of this name. What lies there under other names is none of ours. */
export function isObjectName(name: string): boolean {
  return faultOf(name) === undefined;
}

/** Throws InvalidConfiguration unless `name` follows the rule in store.ts. */
export function checkObjectName(name: string): void {
  const fault = faultOf(name);
  if (fault === undefined) return;
  throw new OperatorError(
    "InvalidConfiguration",
    `${JSON.stringify(name)} cannot be an object's name: ${fault}`,
  );
}

/** Throws InvalidConfiguration unless `prefix` is the beginning of some name, or empty. */
export function checkPrefix(prefix: string): void {
  const completed = /[/.]$/.test(prefix) ? `${prefix}x` : prefix;
  const fault = prefix === "" ? undefined : faultOf(completed);
  if (fault === undefined) return;
  throw new OperatorError(
    "InvalidConfiguration",
    `${JSON.stringify(prefix)} cannot be the beginning of an object's name: ${fault}`,
  );
}
