/** A spec as a user would write it. */
export type Spec = Record<string, unknown>;
export type Kind = "EtcdBackup" | "EtcdBackupSchedule" | "EtcdBackupStore" | "EtcdRestore";

/** An object that the API server has to accept. */
export interface Acceptance {
  name: string;
  kind: Kind;
  spec: Spec;
}

/** An object that the API server has to refuse, with a message at a field. */
export interface Refusal extends Acceptance {
  field: string;
  message: string;
}

/** A change of an object's spec. */
export interface Change {
  name: string;
  kind: Kind;
  from: Spec;
  to: Spec;
}

export interface RefusedChange extends Change {
  field: string;
  message: string;
}

/** Refusals of one kind with one message at one field, by name. */
export function refusals(kind: Kind, field: string, message: string, specs: Record<string, Spec>): Refusal[] {
  return Object.entries(specs).map(([name, spec]) => ({ name, kind, spec, field, message }));
}

/** Refused changes of one kind with one message. */
export function refusedChanges(
  kind: Kind,
  message: string,
  rows: [name: string, field: string, from: Spec, to: Spec][],
): RefusedChange[] {
  return rows.map(([name, field, from, to]) => ({ name, kind, from, to, field, message }));
}

export const absolutePath = "must be an absolute path without '.' and '..'";
export const objectName = "must be the name of a Kubernetes object";
