import type { ResourceKind } from "../objects.ts";
import { type KubeObject, resourceName } from "../objects.ts";

/** What the server answers in place of a result: an HTTP status and a Status object. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  /** As in a Status object: `Conflict`, `NotFound`. Empty for a failure of the server itself. */
  readonly reason: string;
  /** The name in `details`: the object that the refusal is about. */
  readonly objectName: string | undefined;

  constructor(status: number, reason: string, message: string, objectName?: string) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.objectName = objectName;
  }

  toStatus(): object {
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: this.message,
      ...(this.reason === "" ? {} : { reason: this.reason }),
      ...(this.objectName === undefined ? {} : { details: { name: this.objectName } }),
      code: this.status,
    };
  }
}

type Kind = ResourceKind<KubeObject>;

export function notFound(kind: Kind, name: string): Refusal {
  return new Refusal(404, "NotFound", `${resourceName(kind)} "${name}" not found`, name);
}

export function alreadyExists(kind: Kind, name: string): Refusal {
  return new Refusal(409, "AlreadyExists", `${resourceName(kind)} "${name}" already exists`, name);
}

export function conflict(kind: Kind, name: string, why: string): Refusal {
  const message = `Operation cannot be fulfilled on ${resourceName(kind)} "${name}": ${why}`;
  return new Refusal(409, "Conflict", message, name);
}

export function modified(kind: Kind, name: string): Refusal {
  const why = "the object has been modified; please apply your changes to the latest version and try again";
  return conflict(kind, name, why);
}

/** `problems`: each with the path of its field. */
export function invalid(kind: Kind, name: string, problems: readonly string[]): Refusal {
  const all = problems.length === 1 ? problems.join("") : `[${problems.join(", ")}]`;
  const what = kind.group === "" ? kind.kind : `${kind.kind}.${kind.group}`;
  return new Refusal(422, "Invalid", `${what} "${name}" is invalid: ${all}`, name);
}

export function badRequest(message: string): Refusal {
  return new Refusal(400, "BadRequest", message);
}

export function expired(message: string): Refusal {
  return new Refusal(410, "Expired", message);
}
