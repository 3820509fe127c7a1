import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import { type VerificationReport, handledOf } from "../../core/verification/status.ts";
import { type Request, keyOf } from "../reconciler.ts";

/**
 * What this process knows of the verifications of each store, for one term of leadership. The controller of
 * verifications writes it; that of stores puts it into status, whose only writer it is.
 */
export class VerificationReports {
  readonly #reports = new Map<string, { uid: string; report: VerificationReport }>();

  find({ metadata }: EtcdBackupStore): VerificationReport | undefined {
    const known = this.#reports.get(keyOf(metadata));
    return known?.uid === metadata.uid ? known.report : undefined;
  }

  /** Changes the report, which begins with what the status says. */
  update(store: EtcdBackupStore, change: Partial<VerificationReport>): void {
    const before = this.find(store) ?? { handled: handledOf(store), verified: undefined };
    this.#reports.set(keyOf(store.metadata), {
      uid: store.metadata.uid,
      report: { ...before, ...change },
    });
  }

  forget(request: Request): void {
    this.#reports.delete(keyOf(request));
  }
}
