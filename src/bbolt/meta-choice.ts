import { decodeMeta, type Meta, metaHeaderProblem } from "./meta.ts";
import type { Violations } from "./violations.ts";

/** The valid meta of the higher transaction, as bbolt chooses. Two sound metas are one transaction apart. */
export function chooseMeta(start: Uint8Array, pageSize: number, violations: Violations): Meta | undefined {
  const metas: Meta[] = [];
  for (const page of [0, 1]) {
    const at = page * pageSize;
    const { meta, invalid } = decodeMeta(start, at);
    const problem =
      invalid === undefined ? metaHeaderProblem(start, at, page) : `meta page cannot be used: ${invalid}`;
    if (problem !== undefined) violations.add(page, problem);
    if (meta !== undefined && meta.pageSize !== pageSize)
      violations.add(page, "meta page gives another page size");
    else if (meta !== undefined) metas.push(meta);
  }
  const [first, second] = metas;
  if (first === undefined || second === undefined) return first;
  const isFirst = first.txid > second.txid;
  const apart = isFirst ? first.txid - second.txid : second.txid - first.txid;
  if (apart !== 1n) {
    violations.add(
      isFirst ? 1 : 0,
      `meta page is stale: it is ${apart} transactions behind, where 1 is the rule`,
    );
  }
  return isFirst ? first : second;
}
