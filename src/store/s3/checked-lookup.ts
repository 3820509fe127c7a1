import { lookup } from "node:dns";
import type { LookupFunction } from "node:net";

/**
 * A lookup for connections that calls `check` with each address of the name. What it throws ends the connection. So the
 * address that was checked is the one that is connected to, whatever the name resolves to later.
 */
export function checkedLookup(check: (ip: string, host: string) => void): LookupFunction {
  return (host, options, callback) => {
    lookup(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, []);
      try {
        for (const { address } of addresses) check(address, host);
      } catch (refusal) {
        return callback(refusal as Error, []);
      }
      const [first] = addresses;
      if (options.all === true || first === undefined) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
