import { decideRestore } from "../../core/restore/decide.ts";
import { eventsOf } from "../events.ts";
import { type Reconcile, keyOf } from "../reconciler.ts";
import { actOnRestore } from "./act.ts";
import type { RestoreContext, RestoreControllerDeps } from "./context.ts";
import { leaveToHolder } from "./hold.ts";
import { observe } from "./observe.ts";

/** Reconciles one EtcdRestore: observe → decide → act. */
export function restoreReconciler(deps: RestoreControllerDeps): Reconcile {
  const pass = reconcilePass(deps);
  return async (request, signal) => {
    try {
      return await pass(request, signal);
    } catch (error) {
      // A slot that is free for an EtcdRestore whose passes fail must not stay free while others wait.
      deps.admission.leaveLine(keyOf(request));
      throw error;
    }
  };
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
    const left = await leaveToHolder(deps, restore, signal);
    if (left !== undefined) return left;
    const events = eventsOf(deps.events, restore, "Restore");
    const context: RestoreContext = { ...deps, restore, key, events, signal };
    const observed = await observe(context);
    const decision = decideRestore(observed, deps.now());
    deps.log.debug({ restore: key, decision: decision.do }, "decided");
    return actOnRestore(context, observed, decision);
  };
}
