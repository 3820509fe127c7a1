import { InterceptingCall, type Interceptor, ListenerBuilder, status } from "@grpc/grpc-js";

/** Adds the auth token to a call, and cancels the call when the signal fires. */
export function callInterceptor(token: string | undefined, signal?: AbortSignal): Interceptor {
  return (options, nextCall) => {
    const call = new InterceptingCall(nextCall(options), {
      start(metadata, _listener, next) {
        if (token !== undefined) metadata.set("token", token);
        const stop = () => call.cancelWithStatus(status.CANCELLED, "stopped");
        if (signal?.aborted === true) stop();
        signal?.addEventListener("abort", stop, { once: true });
        const listener = new ListenerBuilder()
          .withOnReceiveStatus((received, forward) => {
            signal?.removeEventListener("abort", stop);
            forward(received);
          })
          .build();
        next(metadata, listener);
      },
    });
    return call;
  };
}
