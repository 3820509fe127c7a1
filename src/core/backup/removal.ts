import { OperatorError } from "../errors.ts";
import { type RetainableBackup, newestFirst } from "../retention/retainable.ts";

/** Removes backups one after the other. */
export interface Removal {
  /** Names of the backups that are gone. */
  removed: Set<string>;
  /** Why others are not, by name: those under object lock, and the one at which the removal ended. */
  failed: Map<string, OperatorError>;
}

/**
 * The failure of a whole removal of `count` backups. Undefined when all of them are gone. It has the kind of the failure
 * that ended the removal; locked objects alone give Refused.
 */
export function failureOf({ removed, failed }: Removal, count: number): OperatorError | undefined {
  const errors = [...failed];
  const [name, error] = errors.find(([, { code }]) => code !== "Refused") ?? errors[0] ?? [];
  if (name === undefined || error === undefined) return undefined;
  const { code, permanent, hint, outcomeUnknown } = error;
  return new OperatorError(
    code,
    `${count - removed.size} of ${count} backups remain: ${name}: ${error.message}`,
    { permanent, outcomeUnknown, cause: error, ...(hint === undefined ? {} : { hint }) },
  );
}

/** The newest backup of a folder that can be restored, of an etcd cluster to which the folder belongs if there is one. */
export function newestSound<B extends RetainableBackup>(backups: readonly B[]): B | undefined {
  return backups.filter(({ problem }) => problem === undefined).toSorted(newestFirst)[0];
}
