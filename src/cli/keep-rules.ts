/** The rules of retention as flags. */
export interface KeepFlags {
  keepLast?: string;
  keepHourly?: string;
  keepDaily?: string;
  keepWeekly?: string;
  keepMonthly?: string;
  keepYearly?: string;
  keepWithin?: string;
}

/** The flags with a count, and what each keeps. The API has the same rules and bounds. */
export const keepCounts = {
  keepLast: { flag: "--keep-last", keeps: "the newest N backups" },
  keepHourly: {
    flag: "--keep-hourly",
    keeps: "the newest backup of each of the N latest hours that have one",
  },
  keepDaily: { flag: "--keep-daily", keeps: "the newest backup of each of the N latest days that have one" },
  keepWeekly: {
    flag: "--keep-weekly",
    keeps: "the newest backup of each of the N latest weeks that have one; weeks begin on Monday",
  },
  keepMonthly: {
    flag: "--keep-monthly",
    keeps: "the newest backup of each of the N latest months that have one",
  },
  keepYearly: {
    flag: "--keep-yearly",
    keeps: "the newest backup of each of the N latest years that have one",
  },
} as const;
