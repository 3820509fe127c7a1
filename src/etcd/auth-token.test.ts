import assert from "node:assert/strict";
import { test } from "node:test";
import { type TokenKeeper, withToken } from "./auth-token.ts";

const { signal } = new AbortController();
const rejected = new Error("16 UNAUTHENTICATED: etcdserver: invalid auth token");

/** Logs in as often as it is told to forget: each token is the number of its login. */
function counting(): TokenKeeper & { logins: number } {
  let token: string | undefined;
  return {
    logins: 0,
    async get() {
      if (token === undefined) this.logins += 1;
      return (token ??= String(this.logins));
    },
    forget() {
      token = undefined;
    },
  };
}

test("a call whose token is rejected is made once more with a new one", async () => {
  const keeper = counting();
  const tokens: (string | undefined)[] = [];
  const answer = await withToken(keeper, signal, async (token) => {
    tokens.push(token);
    if (token === "1") throw rejected;
    return "answer";
  });
  assert.deepEqual([answer, tokens], ["answer", ["1", "2"]]);
});

test("a call whose new token is rejected as well fails", async () => {
  const keeper = counting();
  await assert.rejects(
    withToken(keeper, signal, async () => Promise.reject(rejected)),
    (error) => error === rejected,
  );
  assert.equal(keeper.logins, 2);
});

test("a call that fails for another reason keeps the token and is not repeated", async () => {
  const keeper = counting();
  const broken = new Error("14 UNAVAILABLE: read ECONNRESET");
  await assert.rejects(
    withToken(keeper, signal, async () => Promise.reject(broken)),
    (error) => error === broken,
  );
  assert.equal(keeper.logins, 1);
});

test("without a user the call is made without a token", async () => {
  assert.equal(await withToken(undefined, signal, async (token) => String(token)), "undefined");
});
