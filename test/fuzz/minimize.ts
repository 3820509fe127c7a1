const longestMs = 60_000;

/** The smallest input found within `tries` that still fails. Removes ranges, then fills ranges with zeros, from large to small ones. */
export async function minimize(
  input: Uint8Array,
  fails: (input: Uint8Array) => Promise<boolean>,
  tries: number,
): Promise<Uint8Array> {
  let smallest = Buffer.from(input);
  let left = tries;
  const until = performance.now() + longestMs;
  const changes = [
    (from: number, to: number) => Buffer.concat([smallest.subarray(0, from), smallest.subarray(to)]),
    (from: number, to: number) => Buffer.from(smallest).fill(0, from, to),
  ];
  for (const change of changes) {
    for (let size = Math.ceil(smallest.length / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let from = 0; from < smallest.length && left > 0 && performance.now() < until; ) {
        const to = Math.min(from + size, smallest.length);
        const candidate = change(from, to);
        const differs = Buffer.compare(candidate, smallest) !== 0;
        if (differs) left--;
        if (differs && (await fails(candidate))) {
          if (candidate.length === smallest.length) from = to;
          smallest = candidate;
        } else {
          from = to;
        }
      }
    }
  }
  return smallest;
}
