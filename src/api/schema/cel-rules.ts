import type { ValidationRule } from "./schema.ts";

/** The whole string has to match an RE2 pattern. Unlike `pattern`, a rule has a message that says what to write. */
export function matches(pattern: string, message: string): ValidationRule {
  return { rule: `self.matches(r'${pattern}')`, message };
}

/** Exactly one of the object's optional properties has to be set. */
export function exactlyOneOf(...names: string[]): ValidationRule {
  return {
    rule: `[${names.map((name) => `has(self.${name})`).join(", ")}].exists_one(set, set)`,
    message: `set exactly one of ${names.join(", ")}`,
  };
}

/** Which of the properties of `exactlyOneOf` is set cannot change. For the last one this follows from the others. */
export function fixedChoice(names: readonly string[], because: string): ValidationRule {
  return {
    rule: names
      .slice(0, -1)
      .map((name) => `has(self.${name}) == has(oldSelf.${name})`)
      .join(" && "),
    message: `cannot be changed from ${names.join(" to ")} or back, ${because}`,
    reason: "FieldValueForbidden",
  };
}

/**
 * A property that keeps its value, or stays absent. The rule belongs to the object around the property: the API server
 * does not evaluate a rule on a property that is added or removed.
 */
export function immutable(name: string, message: string): ValidationRule {
  return {
    rule: `has(self.${name}) == has(oldSelf.${name}) && (!has(self.${name}) || self.${name} == oldSelf.${name})`,
    message,
    fieldPath: `.${name}`,
    reason: "FieldValueForbidden",
  };
}

/** The string has to be an absolute path. */
export const absolutePath = {
  rule: "self.matches(r'^(/[^/[:cntrl:]]+)+$') && !self.split('/').exists(part, part == '.' || part == '..')",
  message: "must be an absolute path without '.' and '..', such as /mnt/backups or /etc/etcd/ca.crt",
} as const satisfies ValidationRule;
