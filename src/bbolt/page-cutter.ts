import { viewOf } from "./page.ts";
import type { PageScan } from "./scan.ts";

/** Cuts a stream of chunks into pages. */
export interface PageCutter {
  /** Bytes of the last page, which is not whole yet. */
  readonly held: number;
  push(chunk: Uint8Array): void;
}

/** Passes whole pages to `scan`, and copies only those that cross chunks. */
export function createPageCutter(pageSize: number, scan: PageScan): PageCutter {
  const crossing = new Uint8Array(pageSize);
  const crossingView = viewOf(crossing);
  let held = 0;
  return {
    get held() {
      return held;
    },
    push(chunk) {
      let at = 0;
      if (held > 0) {
        at = Math.min(pageSize - held, chunk.length);
        crossing.set(chunk.subarray(0, at), held);
        held += at;
        if (held < pageSize) return;
        scan.page(crossing, crossingView, 0);
        held = 0;
      }
      const view = viewOf(chunk);
      for (; at + pageSize <= chunk.length; at += pageSize) scan.page(chunk, view, at);
      crossing.set(chunk.subarray(at));
      held = chunk.length - at;
    },
  };
}
