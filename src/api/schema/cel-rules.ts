import type { ValidationRule } from "./schema.ts";

/** The whole string matches an RE2 pattern. A rule, not `pattern`: its message can say what to write instead. */
export function matches(pattern: string, message: string): ValidationRule {
  return { rule: `self.matches(r'${pattern}')`, message };
}

/** Exactly one of the object's optional properties is set. */
export function exactlyOneOf(...names: string[]): ValidationRule {
  return {
    rule: `[${names.map((name) => `has(self.${name})`).join(", ")}].exists_one(set, set)`,
    message: `set exactly one of ${names.join(", ")}`,
  };
}

/**
 * A property, optional or not, that keeps its value, and stays absent if it was. The rule stands on the
 * object around it: one on the property itself would not see it being added or removed.
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
  message: "must be an absolute path without '.' and '..', such as /backups",
};
