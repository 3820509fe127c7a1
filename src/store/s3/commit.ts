import { randomUUID } from "node:crypto";
import { OperatorError } from "../../core/errors.ts";
import { abortError, lingering } from "../interruptible.ts";
import { retry } from "../retry.ts";
import { type S3Access, defaultAttempts } from "./client.ts";
import type { S3Dialect } from "./dialect.ts";
import { isNoSuchUpload, isNotImplemented, isTransient } from "./errors.ts";
import { headObject } from "./read.ts";
import { takeBackObject } from "./remove.ts";

/** Milliseconds after an abort in which a request that creates something may still answer, so that it can be undone. */
export const graceMs = 2_000;

/** Distinguishes this put's object from another writer's of the same name when the answer to the put was lost. */
const putIdKey = "put-id";

/** The request of a put that makes its object visible. It takes effect at most once, however often it is sent. */
export interface S3Commit {
  /** Has to be stored with the object. */
  readonly metadata: Record<string, string>;
  /** Sends the request. Throws AlreadyExists when another object has the name. */
  run(
    doing: string,
    request: (condition: { IfNoneMatch?: "*" }, abortSignal: AbortSignal) => Promise<unknown>,
  ): Promise<void>;
  /** Removes the object when it is visible, was stored by this put, and `takeBack` agrees. */
  undo(cleanup: AbortSignal, takeBack?: (signal: AbortSignal) => Promise<boolean>): Promise<void>;
}

export function createCommit(
  access: S3Access,
  dialect: S3Dialect,
  target: { name: string; signal: AbortSignal },
): S3Commit {
  const { name, signal } = target;
  const putId = randomUUID();
  let maybeVisible = false;

  const isFromThisPut = async (during: AbortSignal): Promise<boolean> =>
    (await headObject(access, name, during))?.metadata[putIdKey] === putId;

  async function sendOnce(
    doing: string,
    request: (abortSignal: AbortSignal) => Promise<unknown>,
  ): Promise<void> {
    using late = lingering(signal, graceMs);
    const attempt = async (): Promise<void> => {
      const wasMaybeVisible = maybeVisible;
      maybeVisible = true;
      try {
        await access.call(doing, ({ abortSignal }) => request(abortSignal), {
          signal,
          requestSignal: late.signal,
          attempts: 1,
        });
      } catch (error) {
        if (wasMaybeVisible && mayFollowSuccess(error) && (await isFromThisPut(late.signal))) return;
        maybeVisible = wasMaybeVisible || isTransient(error) || signal.aborted;
        throw error;
      }
    };
    await retry(attempt, {
      signal,
      attempts: access.options.attempts ?? defaultAttempts,
      isTransient: (error) => isTransient(error) && !isDamage(error),
    });
    if (signal.aborted) throw abortError(signal);
  }

  return {
    metadata: { [putIdKey]: putId },

    async run(doing, request) {
      if (dialect.ifNoneMatch) {
        try {
          return await sendOnce(doing, (abortSignal) => request({ IfNoneMatch: "*" }, abortSignal));
        } catch (error) {
          if (!isNotImplemented(error)) throw error;
        }
      }
      // The store has no conditional writes: of two writers at the same moment both may succeed.
      if ((await headObject(access, name, signal)) !== undefined) throw alreadyExists(name);
      await sendOnce(doing, (abortSignal) => request({}, abortSignal));
      dialect.ifNoneMatch = false;
    },

    async undo(cleanup, takeBack = async () => true) {
      if (!maybeVisible || !(await isFromThisPut(cleanup)) || !(await takeBack(cleanup))) return;
      await takeBackObject({ access, dialect }, name, cleanup);
    },
  };
}

export function alreadyExists(name: string): OperatorError {
  return new OperatorError("AlreadyExists", `storing ${name}: an object of this name exists already`);
}

/** An answer that can mean that an earlier attempt, whose answer was lost, took effect. */
function mayFollowSuccess(error: unknown): boolean {
  return (error instanceof OperatorError && error.code === "AlreadyExists") || isNoSuchUpload(error);
}

/** The store holds other bytes than were sent, or cannot show that it does not. */
export function isUnproved(error: unknown): boolean {
  return isDamage(error) || (error instanceof OperatorError && error.code === "InvalidConfiguration");
}

/** The store holds other bytes than were sent. */
function isDamage(error: unknown): boolean {
  return error instanceof OperatorError && error.code === "VerificationFailed";
}
