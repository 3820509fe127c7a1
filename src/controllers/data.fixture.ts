import assert from "node:assert/strict";

/** The work as another process would read it. Fails when it is more than data. */
export function asData<Work>(work: Work): Work {
  const read = JSON.parse(JSON.stringify(work)) as Work;
  assert.deepEqual(read, work, "the work of a run is data");
  return read;
}
