import type { Cost } from "./measure.ts";

/** The median; of an even number of values, the mean of the middle two. NaN of no values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}

/** The nearest-rank percentile, `share` from 0 to 1; NaN of no values. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** The cost whose every number is the median of that number. */
export function medianCost(costs: readonly Cost[]): Cost {
  const of = (pick: (cost: Cost) => number) => median(costs.map(pick));
  return {
    wallSeconds: of((cost) => cost.wallSeconds),
    userSeconds: of((cost) => cost.userSeconds),
    systemSeconds: of((cost) => cost.systemSeconds),
    peakBytes: of((cost) => cost.peakBytes),
    writtenBytes: of((cost) => cost.writtenBytes),
  };
}
