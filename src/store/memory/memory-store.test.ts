import { storeContract } from "../store.contract.ts";
import { memoryStore } from "./memory-store.fixture.ts";

storeContract("the in-memory store", async () => {
  const store = memoryStore();
  return {
    store,
    partSize: 64 * 1024,
    reopen: async () => memoryStore(store),
    async leaveUnfinished(name) {
      store.unfinished.push({ name, begun: new Date() });
    },
    unfinished: async () => store.unfinished.map(({ name }) => name),
    async [Symbol.asyncDispose]() {},
  };
});
