import type { StoreReason } from "../../api/v1alpha1/conditions.ts";
import type { OperatorError } from "../errors.ts";

/** What the spec of an EtcdBackupStore means, by its kind. */
export interface StoreFacts {
  /** Reason of condition Ready where the location does not exist. */
  missing: StoreReason;
  /** Names of the Secrets without which the store cannot be opened. */
  secrets: readonly string[];
  /** Whether a deletion also removes the older versions of an object. */
  removesVersions: boolean;
  /** Why the Jobs of an EtcdRestore cannot read the store. Absent: they can. */
  jobRefusal?: OperatorError;
}
