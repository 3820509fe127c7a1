import { decideRestore } from "../../core/restore/decide.ts";
import { eventsOf } from "../events.ts";
import { leavingLineOnError } from "../leave.ts";
import { type Reconcile, keyOf } from "../reconciler.ts";
import { actOnRestore } from "./act.ts";
import type { RestoreContext, RestoreControllerDeps } from "./context.ts";
import { leaveIfForeign } from "./hold.ts";
import { observe } from "./observe.ts";

/** Reconciles one EtcdRestore: observe → decide → act. */
export function restoreReconciler(deps: RestoreControllerDeps): Reconcile {
  return leavingLineOnError(deps.admission, reconcilePass(deps));
}

function reconcilePass(deps: RestoreControllerDeps): Reconcile {
  return async (request, signal) => {
    const key = keyOf(request);
    const restore = await deps.resources.restore(request, signal);
    if (restore === undefined) {
      deps.admission.leaveLine(key);
      await deps.runs.cancel(key, "the EtcdRestore was deleted");
      deps.holds.keep("EtcdRestore", request);
      return undefined;
    }
    await deps.runs.cancelOthers(key, restore.metadata.uid);
    const left = await leaveIfForeign(deps, restore, signal);
    if (left !== undefined) return left;
    const events = eventsOf(deps.events, restore, "Restore");
    const context: RestoreContext = { ...deps, restore, key, events, signal };
    const observed = await observe(context);
    const decision = decideRestore(observed, deps.now());
    deps.log.debug({ restore: key, decision: decision.do }, "decided");
    return actOnRestore(context, observed, decision);
  };
}
