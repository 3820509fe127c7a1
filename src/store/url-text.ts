import { OperatorError } from "../core/errors.ts";

/** The user's input as a message may quote it: not at all when it may hold a user or password, even by mistake. */
export function quoted(text: string): string {
  if (/@|%40/.test(text)) return "(not shown, since it holds an @)";
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}

export function usage(message: string, hint?: string): OperatorError {
  return new OperatorError("Usage", message, hint === undefined ? {} : { hint });
}

/** Without slashes at the end, except for the first character. A regular expression would take quadratic time. */
export function withoutEndSlashes(text: string): string {
  let end = text.length;
  while (end > 1 && text[end - 1] === "/") end--;
  return text.slice(0, end);
}
