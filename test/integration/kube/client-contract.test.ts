import { clientContract } from "../../../src/kube/contract/client.contract.ts";
import { connect } from "../../../src/kube/client.ts";
import { startApiServer } from "../../harness/api-server.ts";

clientContract("a real kube-apiserver", async () => {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startApiServer());
  await server.applyCrds();
  const client = stack.use(await connect({ kubeconfig: server.kubeconfigPath }));
  let namespaces = 0;
  const started = stack.move();
  return {
    client,
    async namespace() {
      namespaces += 1;
      const name = `contract-${namespaces}`;
      await server.kubectl(["create", "namespace", name]);
      return name;
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
});
