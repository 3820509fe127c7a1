/** The local times of a schedule. Sunday is 0. */
export interface Fields {
  minutes: ReadonlySet<number>;
  hours: ReadonlySet<number>;
  daysOfMonth: ReadonlySet<number>;
  months: ReadonlySet<number>;
  daysOfWeek: ReadonlySet<number>;
  /** Both fields of days are restricted: a day that matches one of them matches. */
  eitherDay: boolean;
}

/** Why a schedule is not valid, and what the user can do. */
export interface Problem {
  problem: string;
  hint: string;
}

interface Field {
  name: string;
  min: number;
  /** The end of `*` and of `N/STEP`. */
  last: number;
  /** The largest value that may be written. */
  max: number;
  /** The names of the values, from `min` on. */
  names: readonly string[];
}

const field = (
  name: string,
  min: number,
  last: number,
  names: readonly string[] = [],
  max = last,
): Field => ({
  name,
  min,
  last,
  max,
  names,
});

const monthNames = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const dayNames = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const minute = field("minute", 0, 59);
const hour = field("hour", 0, 23);
const dayOfMonth = field("day of month", 1, 31);
const month = field("month", 1, 12, monthNames);
const dayOfWeek = field("day of week", 0, 6, dayNames, 7);
const order = "minute, hour, day of month, month, day of week";

const shortcuts: ReadonlyMap<string, string> = new Map([
  ["@hourly", "0 * * * *"],
  ["@daily", "0 0 * * *"],
  ["@midnight", "0 0 * * *"],
  ["@weekly", "0 0 * * 0"],
  ["@monthly", "0 0 1 * *"],
  ["@yearly", "0 0 1 1 *"],
  ["@annually", "0 0 1 1 *"],
]);

/** Bounds the work, and the length of the messages that quote a schedule. */
const longest = 256;
const item = /^(?:\*|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:\/([0-9]{1,3}))?$/i;
const daysInMonth = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

interface Values {
  values: ReadonlySet<number>;
  /** An item of the list is `*`. As in Kubernetes CronJobs, `*` with a step above 1 restricts its field. */
  isOpen: boolean;
}

/** Thrown within this file alone. */
class Invalid extends Error {
  readonly hint: string;

  constructor(problem: string, hint: string) {
    super(problem);
    this.hint = hint;
  }
}

/** Reads five fields, or a name such as `@daily`. */
export function readFields(expression: string): Fields | Problem {
  try {
    return read(expression);
  } catch (error) {
    if (error instanceof Invalid) return { problem: error.message, hint: error.hint };
    throw error;
  }
}

function read(expression: string): Fields {
  if (expression.length > longest)
    throw new Invalid(
      `the schedule has ${expression.length} characters, more than ${longest}`,
      "use ranges and steps, such as 0-30/5, in place of long lists",
    );
  const [minutes, hours, days, months, weekdays] = split(expression).map(readField);
  if (!minutes || !hours || !days || !months || !weekdays) throw new Error("a schedule has five fields");
  const eitherDay = !days.isOpen && !weekdays.isOpen;
  const lasts = [...months.values].map((number) => daysInMonth[number - 1] ?? 0);
  if (!eitherDay && Math.min(...days.values) > Math.max(...lasts))
    throw new Invalid(
      `the schedule ${JSON.stringify(expression)} never fires: its months have no such day`,
      "choose a day of month that exists in at least one of the months",
    );
  return {
    minutes: minutes.values,
    hours: hours.values,
    daysOfMonth: days.values,
    months: months.values,
    daysOfWeek: weekdays.values,
    eitherDay,
  };
}

function split(expression: string): [Field, string][] {
  const text = expression.trim();
  if (text.startsWith("@") && !shortcuts.has(text))
    throw new Invalid(
      `the schedule ${JSON.stringify(text)} is unknown`,
      `write five fields (${order}), or one of ${[...shortcuts.keys()].join(", ")}`,
    );
  if (/^(CRON_)?TZ=/.test(text))
    throw new Invalid(
      "the schedule names a time zone",
      "name the time zone in timeZone, and not in the schedule",
    );
  const words = (shortcuts.get(text) ?? text).split(/[ \t]+/).filter((word) => word !== "");
  if (words.length !== 5) {
    const isLonger = words.length === 6;
    throw new Invalid(
      `the schedule has ${words.length} field${words.length === 1 ? "" : "s"}, not five`,
      `write five fields: ${order}${isLonger ? "; there is no field for seconds or years" : ""}`,
    );
  }
  return [minute, hour, dayOfMonth, month, dayOfWeek].map((one, index) => [one, words[index] ?? ""]);
}

function readField([one, text]: [Field, string]): Values {
  const values = new Set<number>();
  let isOpen = false;
  for (const part of text.split(",")) {
    const { first, last, step } = readItem(one, part);
    for (let value = first; value <= last; value += step) values.add(one === dayOfWeek ? value % 7 : value);
    isOpen ||= part.startsWith("*") && step === 1;
  }
  return { values, isOpen };
}

/** One item of a list: `*`, `A`, `A-B`, each also with a step. `A` with a step goes on to the last value of the field. */
function readItem(one: Field, part: string): { first: number; last: number; step: number } {
  const where = `${JSON.stringify(part)} in the field ${one.name}`;
  const match = item.exec(part);
  if (match === null)
    throw new Invalid(
      `${where} is not a value, a range or a step`,
      "use only *, values such as 5, ranges such as 1-5, steps such as */15 or 1-5/2, and lists of them with commas",
    );
  const [, from, to, every] = match;
  const first = from === undefined ? one.min : readValue(one, from, where);
  const end = to ?? (every === undefined ? from : undefined);
  const last = end === undefined ? one.last : readValue(one, end, where);
  if (first > last)
    throw new Invalid(
      `${where} ends before it begins`,
      `write the smaller value first, or a list of two ranges${one === dayOfWeek ? "; Sunday is 0 or 7" : ""}`,
    );
  const step = every === undefined ? 1 : Number(every);
  const count = one.last - one.min + 1;
  if (step < 1 || step > count)
    throw new Invalid(
      `${where} has a step of ${step}, which is not between 1 and ${count}`,
      "a step counts within its own field; for a longer interval list the times, or use the next field",
    );
  return { first, last, step };
}

function readValue({ name, min, max, names }: Field, text: string, where: string): number {
  const index = names.indexOf(text.toUpperCase());
  const value = index === -1 ? Number(text) : min + index;
  if (value >= min && value <= max) return value;
  const orNames = names.length === 0 ? "" : ` or ${names[0]} to ${names.at(-1)}`;
  throw new Invalid(
    `${where} has the value ${text}, which this field does not have`,
    `use ${min} to ${max}${orNames} in the field ${name}`,
  );
}
