import { crc32c } from "@node-rs/crc32";
import { maxBranchSize, readBranch } from "./branch.ts";
import { remainingCrc32c } from "./crc32c-combine.ts";
import { FreelistRun } from "./freelist.ts";
import { emptyLeafLayout, type LeafSink, readLeaf } from "./leaf.ts";
import { LeafRun, type SharedCrc } from "./leaf-run.ts";
import { branchPage, freelistPage, leafPage } from "./page.ts";
import { PageRecords } from "./page-records.ts";
import type { Violations } from "./violations.ts";

/** Limits of the runs that are open at once. Stale pages of a real file stay far below both. */
const maxOpenRuns = 256;
const maxHeldBytes = 32 * 1024 * 1024;
const crowdedProblem = `page lies where more than ${maxOpenRuns} runs of pages overlap`;
const cutProblem = "page's overflow pages lie past the end of the file";

/** A branch of several pages. All its bytes are held: at most maxBranchSize. */
interface BranchRun {
  page: number;
  overflow: number;
  bytes: Uint8Array;
  got: number;
}

/**
 * Reads every page of a file once, in order, and records each page that may be part of the tree.
 *
 * Which pages are part of the tree is known only at the end. Until then a page counts as a leaf or a branch when its
 * header says so and holds the page's id. Bytes inside a large value may look like such a page, and a page that was
 * freed long ago keeps its header, so its run may cover pages in use today. Runs may therefore overlap: each is read
 * on its own, and all share one running CRC.
 */
export class PageScan {
  readonly records = new PageRecords();
  /** Pages read. */
  pages = 0;
  freelist: FreelistRun | undefined;
  readonly #pageSize: number;
  readonly #sink: LeafSink;
  readonly #freelistPage: number | undefined;
  readonly #violations: Violations;
  readonly #leafRuns: LeafRun[] = [];
  readonly #branchRuns: BranchRun[] = [];
  readonly #layout = emptyLeafLayout();
  readonly #crc: SharedCrc;
  /** CRC-32C of the pages since the first open run began, up to the current page. */
  #running = 0;
  /** The current page lies at `#at` in `#bytes`. */
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(options: {
    pageSize: number;
    sink: LeafSink;
    freelistPage: number | undefined;
    violations: Violations;
  }) {
    this.#pageSize = options.pageSize;
    this.#sink = options.sink;
    this.#freelistPage = options.freelistPage;
    this.#violations = options.violations;
    this.#crc = {
      upTo: (to) =>
        to === 0 ? this.#running : crc32c(this.#bytes.subarray(this.#at, this.#at + to), this.#running),
      between: remainingCrc32c,
    };
  }

  /** Reads the next page, which lies at `at` in `bytes`. */
  page(bytes: Uint8Array, view: DataView, at: number): void {
    const page = this.pages++;
    if (this.#leafRuns.length > 0 || this.#branchRuns.length > 0 || this.freelist !== undefined) {
      this.#feedRuns(page, bytes, view, at);
    }
    if (view.getUint32(at, true) !== page % 4294967296) return this.#close(bytes, at);
    if (view.getUint32(at + 4, true) !== Math.floor(page / 4294967296)) return this.#close(bytes, at);
    const flags = view.getUint16(at + 8, true);
    const overflow = view.getUint32(at + 12, true);
    if (flags === leafPage) {
      if (overflow === 0) this.#leaf(page, bytes, view, at);
      else this.#openLeaf(page, overflow, bytes, view, at);
    } else if (flags === branchPage) {
      if (overflow === 0) this.#branch(page, 0, bytes.subarray(at, at + this.#pageSize));
      else this.#openBranch(page, overflow, bytes, at);
    } else if (flags === freelistPage && page === this.#freelistPage) {
      this.freelist = new FreelistRun(page, overflow, view.getUint16(at + 10, true), this.#violations);
      this.freelist.feed(view, at, this.#pageSize, true);
    }
    this.#close(bytes, at);
  }

  /** Ends the scan: runs that are still open become broken records. */
  end(): void {
    for (const run of this.#leafRuns) {
      run.abandon(cutProblem);
      this.records.addBroken(run.page, cutProblem);
    }
    for (const run of this.#branchRuns) this.records.addBroken(run.page, cutProblem);
  }

  #leaf(page: number, bytes: Uint8Array, view: DataView, at: number): void {
    const layout = this.#layout;
    const problem = readLeaf(bytes, view, at, this.#pageSize, page, this.#sink, layout);
    if (problem !== undefined) return this.records.addBroken(page, problem);
    this.records.addLeaf(page, layout, layout.firstKey, layout.lastKey);
  }

  #branch(page: number, overflow: number, bytes: Uint8Array): void {
    const branch = readBranch(bytes, overflow, this.#pageSize);
    if (branch.problem !== undefined) this.records.addBroken(page, branch.problem);
    else this.records.addBranch(page, overflow, branch.keys, branch.children);
  }

  #openLeaf(page: number, overflow: number, bytes: Uint8Array, view: DataView, at: number): void {
    if (this.#isCrowded()) return this.records.addBroken(page, crowdedProblem);
    this.#bytes = bytes;
    this.#at = at;
    const run = new LeafRun(page, overflow, view.getUint16(at + 10, true), this.#pageSize, this.#sink.fork());
    if (this.#feedLeaf(run, bytes, view, at, 0)) this.#leafRuns.push(run);
  }

  #openBranch(page: number, overflow: number, bytes: Uint8Array, at: number): void {
    const size = (overflow + 1) * this.#pageSize;
    if (size > maxBranchSize)
      return this.records.addBroken(page, "branch page claims more pages than its keys can fill");
    if (this.#isCrowded()) return this.records.addBroken(page, crowdedProblem);
    const run = { page, overflow, bytes: new Uint8Array(size), got: this.#pageSize };
    run.bytes.set(bytes.subarray(at, at + this.#pageSize));
    this.#branchRuns.push(run);
  }

  #isCrowded(): boolean {
    if (this.#leafRuns.length + this.#branchRuns.length < 16) return false;
    if (this.#leafRuns.length + this.#branchRuns.length >= maxOpenRuns) return true;
    let held = 0;
    for (const run of this.#leafRuns) held += run.held;
    for (const run of this.#branchRuns) held += run.bytes.length;
    return held > maxHeldBytes;
  }

  #feedRuns(page: number, bytes: Uint8Array, view: DataView, at: number): void {
    this.#bytes = bytes;
    this.#at = at;
    for (let i = this.#leafRuns.length - 1; i >= 0; i--) {
      const run = this.#leafRuns[i];
      if (run === undefined || this.#feedLeaf(run, bytes, view, at, page - run.page)) continue;
      this.#leafRuns.splice(i, 1);
    }
    for (let i = this.#branchRuns.length - 1; i >= 0; i--) {
      const run = this.#branchRuns[i];
      if (run === undefined) continue;
      run.bytes.set(bytes.subarray(at, at + this.#pageSize), run.got);
      run.got += this.#pageSize;
      if (run.got < run.bytes.length) continue;
      this.#branch(run.page, run.overflow, run.bytes);
      this.#branchRuns.splice(i, 1);
    }
    const free = this.freelist;
    if (free !== undefined && page - free.page <= free.overflow) free.feed(view, at, this.#pageSize, false);
  }

  /** Returns whether the run needs more pages. */
  #feedLeaf(run: LeafRun, bytes: Uint8Array, view: DataView, at: number, index: number): boolean {
    let state = run.feed(bytes, view, at, index * this.#pageSize, this.#crc);
    if (state === "open" && index < run.totals.overflow) return true;
    if (state === "open") {
      run.abandon("leaf page's pairs are damaged");
      state = "broken";
    }
    if (state === "done") this.records.addLeaf(run.page, run.totals, run.firstKey, run.lastKey);
    else this.records.addBroken(run.page, run.problem);
    return false;
  }

  /** Moves the running CRC past the current page. */
  #close(bytes: Uint8Array, at: number): void {
    this.#running =
      this.#leafRuns.length === 0 ? 0 : crc32c(bytes.subarray(at, at + this.#pageSize), this.#running);
  }
}
