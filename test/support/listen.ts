import { once } from "node:events";
import type { Server } from "node:net";

/** Listens on a free port of the address. Returns the port. */
export async function listen(server: Server, address = "127.0.0.1"): Promise<number> {
  server.listen(0, address);
  await once(server, "listening");
  const bound = server.address();
  if (typeof bound !== "object" || bound === null) throw new Error("the server listens on no port");
  return bound.port;
}

/** Stops listening. Resolves when the last connection is closed. */
export async function close(server: Server): Promise<void> {
  server.close();
  await once(server, "close");
}
