import { decodeMeta, type Meta, metaHeaderProblem } from "./meta.ts";
import type { Violations } from "./violations.ts";

/**
 * The valid meta with the higher transaction id, as bbolt chooses. A meta that is not valid, and two that are not one
 * transaction apart, become violations.
 */
export function chooseMeta(start: Uint8Array, pageSize: number, violations: Violations): Meta | undefined {
  const metas: Meta[] = [];
  for (const page of [0, 1]) {
    const at = page * pageSize;
    const { meta, invalid } = decodeMeta(start, at);
    const problem =
      invalid === undefined ? metaHeaderProblem(start, at, page) : `meta page cannot be used: ${invalid}`;
    if (problem !== undefined) violations.add(page, problem);
    if (meta !== undefined && meta.pageSize !== pageSize)
      violations.add(page, `meta page has the page size ${meta.pageSize}, and the file has ${pageSize}`);
    else if (meta !== undefined) metas.push(meta);
  }
  const [first, second] = metas;
  if (first === undefined || second === undefined) return first;
  const isFirst = first.txid > second.txid;
  const apart = isFirst ? first.txid - second.txid : second.txid - first.txid;
  if (apart !== 1n) {
    violations.add(
      isFirst ? 1 : 0,
      `meta page is stale: it is ${apart} transactions behind the other one, not 1`,
    );
  }
  return isFirst ? first : second;
}
