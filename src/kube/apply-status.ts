import { OperatorError } from "../core/errors.ts";
import { applyCall } from "./calls.ts";
import { apiStatusOf } from "./errors.ts";
import { type KubeObject, objectKey, type ObjectRef, type ResourceKind, resourceName } from "./objects.ts";
import type { RequestOptions, SendCall } from "./request.ts";

/** How often the object is read and its status written when the object changes in between. */
const attempts = 4;

/**
 * KubeClient.applyStatus. The API server takes no UID as a precondition for a status. So with `uid` the object is read
 * first and its resourceVersion sent along: else a status meant for a deleted object would be written to another
 * object of the same name. With `resourceVersion` it is sent at once, for this version and no other.
 */
export async function applyStatus<T extends KubeObject & { status: object }>(
  client: {
    get(kind: ResourceKind<T>, ref: ObjectRef, options: RequestOptions): Promise<T | undefined>;
    request: SendCall;
  },
  kind: ResourceKind<T>,
  ref: ObjectRef,
  { uid, resourceVersion, status }: { uid?: string; resourceVersion?: string; status: Partial<T["status"]> },
  options: RequestOptions,
): Promise<T> {
  const write = async (metadata: object) =>
    (await client.request(applyCall(kind, ref, { metadata, status }, "status"), options)) as T;
  if (resourceVersion !== undefined) return await write({ ...ref, resourceVersion });
  if (uid === undefined) return await write(ref);
  for (let attempt = 1; ; attempt += 1) {
    try {
      const object = await client.get(kind, ref, options);
      if (object?.metadata.uid !== uid) throw gone(kind, ref, object !== undefined);
      return await write({ ...ref, resourceVersion: object.metadata.resourceVersion });
    } catch (error) {
      if (attempt >= attempts || apiStatusOf(error)?.status !== 409) throw error;
    }
  }
}

function gone(kind: ResourceKind<KubeObject>, ref: ObjectRef, replaced: boolean): OperatorError {
  const call = `patch ${resourceName(kind)}/status ${objectKey(ref)}`;
  return replaced
    ? new OperatorError("Conflict", `${call}: an object with another UID has this name`)
    : new OperatorError("NotFound", `${call}: it does not exist`);
}
