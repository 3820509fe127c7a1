export interface Violation {
  /** Page id, from 0; -1 when the violation concerns no single page. */
  page: number;
  message: string;
}

/** Collects violations: `list` holds the first `limit`, and `count` counts all of them. */
export interface Violations {
  readonly list: Violation[];
  readonly count: number;
  add(page: number, message: string): void;
}

export function createViolations(limit = 100): Violations {
  const list: Violation[] = [];
  let count = 0;
  return {
    list,
    get count() {
      return count;
    },
    add(page, message) {
      count++;
      if (list.length < limit) list.push({ page, message });
    },
  };
}
