import { badRequest } from "./refusal.fixture.ts";

export type Labels = Readonly<Record<string, string>>;

/** Whether labels match a selector, such as `app=etcd,member in (m0,m1),!old`. Throws a Refusal for one of another form. */
export function labelMatcher(selector: string): (labels: Labels) => boolean {
  if (selector.trim() === "") return () => true;
  // Commas separate requirements, but not inside parentheses.
  const requirements = selector.split(/,(?![^(]*\))/).map((text) => requirement(text.trim()));
  return (labels) => requirements.every((holds) => holds(labels));
}

const forms = {
  absent: /^!\s*(?<key>[\w./-]+)$/,
  present: /^(?<key>[\w./-]+)$/,
  equal: /^(?<key>[\w./-]+)\s*==?\s*(?<value>[\w.-]*)$/,
  unequal: /^(?<key>[\w./-]+)\s*!=\s*(?<value>[\w.-]*)$/,
  within: /^(?<key>[\w./-]+)\s+in\s*\((?<values>[\w.,\s-]*)\)$/,
  outside: /^(?<key>[\w./-]+)\s+notin\s*\((?<values>[\w.,\s-]*)\)$/,
};

function requirement(text: string): (labels: Labels) => boolean {
  for (const [form, pattern] of Object.entries(forms)) {
    const groups = pattern.exec(text)?.groups;
    if (groups === undefined) continue;
    const { key = "", value = "", values = "" } = groups;
    const among = new Set(values.split(",").map((one) => one.trim()));
    switch (form as keyof typeof forms) {
      case "absent":
        return (labels) => labels[key] === undefined;
      case "present":
        return (labels) => labels[key] !== undefined;
      case "equal":
        return (labels) => labels[key] === value;
      case "unequal":
        return (labels) => labels[key] !== value;
      case "within":
        return (labels) => among.has(labels[key] ?? "\n");
      case "outside":
        return (labels) => !among.has(labels[key] ?? "\n");
    }
  }
  throw badRequest(`unable to parse requirement: ${text}`);
}
