import type { AuthClient } from "etcd3";
import { callInterceptor } from "./call-interceptor.ts";
import { classify, isInvalidToken } from "./errors.ts";

export interface EtcdUser {
  username: string;
  password: string;
}

/** The auth token of one user at one endpoint. */
export interface TokenKeeper {
  /** Logs in when no token is kept. Throws OperatorError. */
  get(signal: AbortSignal): Promise<string>;
  forget(): void;
}

/** etcd3's own authenticator ignores channel options and does not cover the snapshot stream. */
export function createTokenKeeper(
  client: AuthClient,
  { endpoint, user, timeoutMs }: { endpoint: string; user: EtcdUser; timeoutMs: number },
): TokenKeeper {
  let token: Promise<string> | undefined;
  return {
    get(signal) {
      token ??= client
        .authenticate(
          { name: user.username, password: user.password },
          { deadline: Date.now() + timeoutMs, interceptors: [callInterceptor(undefined, signal)] },
        )
        .then(
          (answer) => answer.token,
          (error: unknown) => {
            token = undefined;
            throw classify(error, { operation: "authentication", endpoint });
          },
        );
      return token;
    },
    forget() {
      token = undefined;
    },
  };
}

/** Runs `attempt` with the kept token, and once more with a new one when etcd rejects the kept one. */
export async function withToken<T>(
  keeper: TokenKeeper | undefined,
  signal: AbortSignal,
  attempt: (token: string | undefined) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  if (keeper === undefined) return await attempt(undefined);
  const token = await keeper.get(signal);
  try {
    return await attempt(token);
  } catch (error) {
    if (!isInvalidToken(error)) throw error;
    keeper.forget();
  }
  signal.throwIfAborted();
  return await attempt(await keeper.get(signal));
}
