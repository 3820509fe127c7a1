import { within } from "./eventually.ts";
import type { S3Fault, S3FaultProxy, S3Request } from "./s3-fault-proxy.ts";

/** Requests to the store that the proxy holds. */
export interface Hold {
  /** Waits for the first of the requests, for a minute at most. */
  reached(): Promise<S3Request>;
  /** Forwards the held requests, or applies the fault to them. Later requests pass. */
  release(fault?: S3Fault): void;
}

/** Holds every request for which `which` is true until `release`, and calls `then` when one arrives. */
export function holdRequests(
  proxy: S3FaultProxy,
  which: (request: S3Request) => boolean,
  then: () => void = () => {},
): Hold {
  const reached = Promise.withResolvers<S3Request>();
  const released = Promise.withResolvers<S3Fault | undefined>();
  proxy.fault = async (request) => {
    if (!which(request)) return undefined;
    then();
    reached.resolve(request);
    return released.promise;
  };
  return {
    reached: () => within("the request that the test holds", reached.promise, 60),
    release(fault) {
      proxy.fault = () => undefined;
      released.resolve(fault);
    },
  };
}
