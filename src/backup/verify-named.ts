import { OperatorError } from "../core/errors.ts";
import type { Store } from "../store/store.ts";
import { readNamed } from "./catalog/listing.ts";
import type { StoredBytesOptions } from "./stored-bytes.ts";
import { throttledReads } from "./throttle.ts";
import { describeFailures, verifyStored } from "./verify.ts";

/** `gone`: the store holds no such backup any more. `later`: only a later release can read it. */
export type Verification =
  | { is: "sound" }
  | { is: "damaged"; problem: string }
  | { is: "gone" }
  | { is: "later" };

interface Options extends StoredBytesOptions {
  /** Bytes a second to read at most. Absent: no limit. */
  maxRate: number | undefined;
}

/**
 * Verifies one stored backup by its name. Reads it once more before it calls it damaged, since a short answer of the
 * store looks like damage. Throws an error of the store, which does not mean damage.
 */
export async function verifyNamed(
  store: Pick<Store, "get" | "head">,
  at: { clusterName: string; name: string },
  options: Options,
): Promise<Verification> {
  const first = await verifyOnce(store, at, options);
  return first.is === "damaged" ? verifyOnce(store, at, options) : first;
}

async function verifyOnce(
  store: Pick<Store, "get" | "head">,
  at: { clusterName: string; name: string },
  { maxRate, ...options }: Options,
): Promise<Verification> {
  const { signal } = options;
  const entry = await readNamed(store, at, signal);
  if (entry === undefined) return { is: "gone" };
  const { manifest, problem, isOfLaterRelease } = entry;
  if (isOfLaterRelease === true) return { is: "later" };
  if (manifest === undefined || problem !== undefined)
    return { is: "damaged", problem: problem ?? "it has no manifest" };
  const reader = throttledReads(store, { maxRate, signal });
  try {
    const { checks } = await verifyStored(reader, manifest, options);
    const failures = describeFailures(checks);
    return failures === undefined ? { is: "sound" } : { is: "damaged", problem: failures };
  } catch (error) {
    // The manifest goes first where a backup is removed, so the second look tells a removal from a loss.
    if (error instanceof OperatorError && error.code === "NotFound")
      return { is: "damaged", problem: error.message };
    if (error instanceof OperatorError && error.code === "VerificationFailed")
      return { is: "damaged", problem: error.message };
    throw error;
  }
}
