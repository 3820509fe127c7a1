import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readFields } from "./fields.ts";

const all = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
const lists = (expression: string) => {
  const fields = readFields(expression);
  assert.ok(!("problem" in fields), JSON.stringify(fields));
  return [fields.minutes, fields.hours, fields.daysOfMonth, fields.months, fields.daysOfWeek].map((values) =>
    [...values].toSorted((a, b) => a - b),
  );
};
const open = [all(0, 59), all(0, 23), all(1, 31), all(1, 12), all(0, 6)];

describe("a schedule", () => {
  const cases = [
    ["may be open in all fields", "* * * * *", open],
    [
      "has lists, ranges and steps",
      "0,30 8-10 1-9/4 */6 5/1",
      [
        [0, 30],
        [8, 9, 10],
        [1, 5, 9],
        [1, 7],
        [5, 6],
      ],
    ],
    ["may name a value twice", "1-3,2,3 0 1 1 0,7", [[1, 2, 3], [0], [1], [1], [0]]],
    [
      "may name months and days of the week, in any case",
      "0 0 * JAN,mar-May Mon-FRI",
      [[0], [0], all(1, 31), [1, 3, 4, 5], all(1, 5)],
    ],
    ["may have spaces around and between its fields", "\t0  0\t1 1 0 \n", [[0], [0], [1], [1], [0]]],
    ["may have numbers of two digits with a zero", "05 09 01 02 03", [[5], [9], [1], [2], [3]]],
    ["@hourly is minute 0", "@hourly", [[0], ...open.slice(1)]],
    ["@daily is midnight", "@daily", [[0], [0], ...open.slice(2)]],
    ["@midnight is midnight", "@midnight", [[0], [0], ...open.slice(2)]],
    ["@weekly is Sunday", "@weekly", [[0], [0], all(1, 31), all(1, 12), [0]]],
    ["@monthly is the first day", "@monthly", [[0], [0], [1], all(1, 12), all(0, 6)]],
    ["@yearly is the first of January", "@yearly", [[0], [0], [1], [1], all(0, 6)]],
    ["@annually is the first of January", "@annually", [[0], [0], [1], [1], all(0, 6)]],
    ["of 29 February is valid", "0 0 29 2 *", [[0], [0], [29], [2], all(0, 6)]],
    ["of a day that some of its months have is valid", "0 0 31 2,3 *", [[0], [0], [31], [2, 3], all(0, 6)]],
    [
      "of a day that no month has is valid with a day of the week",
      "0 0 31 2 MON",
      [[0], [0], [31], [2], [1]],
    ],
  ] as const;
  for (const [name, expression, values] of cases) it(name, () => assert.deepEqual(lists(expression), values));
});

describe("an invalid schedule is refused with words and a hint", () => {
  const five = "minute, hour, day of month, month, day of week";
  const steps =
    "a step counts within its own field; for a longer interval list the times, or use the next field";
  const forms =
    "use only *, values such as 5, ranges such as 1-5, steps such as */15 or 1-5/2, and lists of them with commas";
  const shortcuts = "@hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually";
  const exists = "choose a day of month that exists in at least one of the months";
  const cases = [
    ["", "the schedule has 0 fields, not five", `write five fields: ${five}`],
    ["5", "the schedule has 1 field, not five", `write five fields: ${five}`],
    [
      "0 0 0 * * *",
      "the schedule has 6 fields, not five",
      `write five fields: ${five}; there is no field for seconds or years`,
    ],
    [
      "TZ=UTC 0 0 * * *",
      "the schedule names a time zone",
      "name the time zone in timeZone, and not in the schedule",
    ],
    [
      "CRON_TZ=UTC 0 0 * * *",
      "the schedule names a time zone",
      "name the time zone in timeZone, and not in the schedule",
    ],
    [
      "@every 1h",
      'the schedule "@every 1h" is unknown',
      `write five fields (${five}), or one of ${shortcuts}`,
    ],
    [
      "@secondly",
      'the schedule "@secondly" is unknown',
      `write five fields (${five}), or one of ${shortcuts}`,
    ],
    [
      "60 0 * * *",
      '"60" in the field minute has the value 60, which this field does not have',
      "use 0 to 59 in the field minute",
    ],
    [
      "0 24 * * *",
      '"24" in the field hour has the value 24, which this field does not have',
      "use 0 to 23 in the field hour",
    ],
    [
      "0 0 0 * *",
      '"0" in the field day of month has the value 0, which this field does not have',
      "use 1 to 31 in the field day of month",
    ],
    [
      "0 0 * 1-13 *",
      '"1-13" in the field month has the value 13, which this field does not have',
      "use 1 to 12 or JAN to DEC in the field month",
    ],
    [
      "0 0 * * 8",
      '"8" in the field day of week has the value 8, which this field does not have',
      "use 0 to 7 or SUN to SAT in the field day of week",
    ],
    [
      "0 0 * * JAN",
      '"JAN" in the field day of week has the value JAN, which this field does not have',
      "use 0 to 7 or SUN to SAT in the field day of week",
    ],
    [
      "0 MON * * *",
      '"MON" in the field hour has the value MON, which this field does not have',
      "use 0 to 23 in the field hour",
    ],
    ["*/90 * * * *", '"*/90" in the field minute has a step of 90, which is not between 1 and 60', steps],
    ["*/0 * * * *", '"*/0" in the field minute has a step of 0, which is not between 1 and 60', steps],
    [
      "0 22-6 * * *",
      '"22-6" in the field hour ends before it begins',
      "write the smaller value first, or a list of two ranges",
    ],
    [
      "0 0 * * FRI-SUN",
      '"FRI-SUN" in the field day of week ends before it begins',
      "write the smaller value first, or a list of two ranges; Sunday is 0 or 7",
    ],
    ...[
      "?",
      "L",
      "15W",
      "1#2",
      "H",
      "H/5",
      "H(0-5)",
      "*-5",
      "*5",
      "1-5-7",
      "1/2/3",
      "-1",
      "+1",
      "1,",
      ",1",
      "1.5",
      "0x5",
      "1e1",
      "MONDAY",
      "~",
      "\u0661",
    ].map(
      (item) =>
        [
          `0 0 ${item} * *`,
          `${JSON.stringify(item.includes(",") ? "" : item)} in the field day of month is not a value, a range or a step`,
          forms,
        ] as const,
    ),
    ["0 0 31 2 *", 'the schedule "0 0 31 2 *" never fires: its months have no such day', exists],
    ["0 0 30 2 *", 'the schedule "0 0 30 2 *" never fires: its months have no such day', exists],
    [
      "0 0 31 2,4,6,9,11 *",
      'the schedule "0 0 31 2,4,6,9,11 *" never fires: its months have no such day',
      exists,
    ],
    [
      "0 ".repeat(200),
      "the schedule has 400 characters, more than 256",
      "use ranges and steps, such as 0-30/5, in place of long lists",
    ],
  ] as const;
  for (const [expression, problem, hint] of cases)
    it(JSON.stringify(expression.slice(0, 30)), () =>
      assert.deepEqual(readFields(expression), { problem, hint }),
    );
});
