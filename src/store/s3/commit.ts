import { randomUUID } from "node:crypto";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import { OperatorError } from "../../core/errors.ts";
import { abortError, lingering } from "../interruptible.ts";
import { retry } from "../retry.ts";
import { type S3Access, defaultAttempts } from "./client.ts";
import type { S3Dialect } from "./dialect.ts";
import { isNoSuchUpload, isNotImplemented, isTransient } from "./errors.ts";
import { headObject } from "./read.ts";

/** After an abort, a request that creates something may still answer for so long, so that it can be undone. */
export const graceMs = 2_000;

/** Tells our object from another writer's of the same name, where the answer to a put was lost. */
const putIdKey = "put-id";

/** The request of a put that makes its object visible: at most once in effect, however often it has to be sent. */
export interface S3Commit {
  /** To be stored with the object. */
  readonly metadata: Record<string, string>;
  /** Sends the request. Throws AlreadyExists when another object has the name. */
  run(
    doing: string,
    request: (condition: { IfNoneMatch?: "*" }, abortSignal: AbortSignal) => Promise<unknown>,
  ): Promise<void>;
  /** Removes the object if it may have become visible, is ours, and is to be taken back. */
  undo(during: AbortSignal, takeBack?: (signal: AbortSignal) => Promise<boolean>): Promise<void>;
}

export function createCommit(
  access: S3Access,
  dialect: S3Dialect,
  target: { name: string; signal: AbortSignal },
): S3Commit {
  const { name, signal } = target;
  const putId = randomUUID();
  let maybeVisible = false;

  const isOurs = async (during: AbortSignal): Promise<boolean> =>
    (await headObject(access, name, during))?.metadata[putIdKey] === putId;

  async function sendOnce(
    doing: string,
    request: (abortSignal: AbortSignal) => Promise<unknown>,
  ): Promise<void> {
    using late = lingering(signal, graceMs);
    const attempt = async (): Promise<void> => {
      const doubted = maybeVisible;
      maybeVisible = true;
      try {
        await access.call(doing, ({ abortSignal }) => request(abortSignal), {
          signal,
          requestSignal: late.signal,
          attempts: 1,
        });
      } catch (error) {
        if (doubted && endsDoubt(error) && (await isOurs(late.signal))) return;
        maybeVisible = doubted || isTransient(error) || signal.aborted;
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
      // The store has no conditional writes: two writers at the same moment are not kept apart.
      if ((await headObject(access, name, signal)) !== undefined) throw alreadyExists(name);
      await sendOnce(doing, (abortSignal) => request({}, abortSignal));
      dialect.ifNoneMatch = false;
    },

    async undo(during, takeBack = async () => true) {
      if (!maybeVisible || !(await isOurs(during)) || !(await takeBack(during))) return;
      const command = new DeleteObjectCommand({ Bucket: access.options.bucket, Key: access.key(name) });
      await access.call(`removing ${name}`, (o) => access.client.send(command, o), { signal: during });
    },
  };
}

export function alreadyExists(name: string): OperatorError {
  return new OperatorError("AlreadyExists", `storing ${name}: an object of this name exists already`);
}

/** An answer that may mean that an earlier try, whose answer was lost, took effect. */
function endsDoubt(error: unknown): boolean {
  return (error instanceof OperatorError && error.code === "AlreadyExists") || isNoSuchUpload(error);
}

/** The store holds other bytes than were sent. */
export function isDamage(error: unknown): boolean {
  return error instanceof OperatorError && error.code === "VerificationFailed";
}
