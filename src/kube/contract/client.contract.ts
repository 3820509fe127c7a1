import { after, before, describe } from "node:test";
import type { Api, ApiUnderTest } from "./objects.fixture.ts";
import { listRules, selectorRules } from "./lists.contract.ts";
import { finalizerRules, metadataRules, removeRules } from "./metadata.contract.ts";
import {
  applyRules,
  createRules,
  readRules,
  refusedCreateRules,
  replaceConflictRules,
  replaceRules,
} from "./objects.contract.ts";
import { defaultRules, validationRules } from "./schema.contract.ts";
import { fieldOwnerRules, sharedConditionRules, statusBoundaryRules } from "./shared-status.contract.ts";
import { guardRules, refusedStatusRules, statusFieldRules, statusRules } from "./status.contract.ts";
import { lineRules, resumeRules, stoppedRules, watchRules, watchScopeRules } from "./watch.contract.ts";
import { otherKindRules, podRules, workloadRules } from "./workloads.contract.ts";

/**
 * What the controllers rely on in client.ts and in the server behind it, as a suite. A server in memory that passes it
 * may stand in for the real one.
 */
export function clientContract(server: string, open: () => Promise<ApiUnderTest>): void {
  describe(`a client of ${server}`, () => {
    let opened: ApiUnderTest | undefined;
    const running = (): ApiUnderTest => {
      if (opened === undefined) throw new Error("the server has not been opened");
      return opened;
    };
    const api: Api = {
      get client() {
        return running().client;
      },
      namespace: () => running().namespace(),
    };
    before(async () => {
      opened = await open();
    });
    after(async () => {
      await opened?.[Symbol.asyncDispose]();
    });

    createRules(api);
    refusedCreateRules(api);
    readRules(api);
    replaceRules(api);
    replaceConflictRules(api);
    applyRules(api);
    listRules(api);
    selectorRules(api);
    metadataRules(api);
    removeRules(api);
    finalizerRules(api);
    statusRules(api);
    statusFieldRules(api);
    refusedStatusRules(api);
    guardRules(api);
    sharedConditionRules(api);
    fieldOwnerRules(api);
    statusBoundaryRules(api);
    defaultRules(api);
    validationRules(api);
    watchRules(api);
    watchScopeRules(api);
    resumeRules(api);
    lineRules(api);
    stoppedRules(api);
    workloadRules(api);
    podRules(api);
    otherKindRules(api);
  });
}
