import { type StoreConfig, storeKindOf, storeKinds } from "./kinds.ts";
import { quoted, usage } from "./url-text.ts";

/** Parses a store URL. Throws Usage; the message quotes nothing of a URL that holds a user or password. */
export function parseStoreUrl(text: string): StoreConfig {
  if (/^[^/?#]*\/\/[^/?#]*@/.test(text)) {
    throw usage(
      "the store URL holds a user or password",
      "give credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or by a profile",
    );
  }
  const url = URL.parse(text);
  const kind = storeKinds.find(({ scheme }) => url?.protocol === `${scheme}:`);
  const forms = storeKinds.map(({ form }) => form).join(", or ");
  if (url !== null && kind !== undefined) return kind.parseUrl(url, { text, forms });
  throw usage(`${quoted(text)} is not a store URL`, `write it as ${forms}`);
}

/** The URL from which `parseStoreUrl` makes the same configuration, without secrets and CA bundle. */
export function formatStoreUrl(config: StoreConfig): string {
  return storeKindOf(config).formatUrl(config);
}

/** Whether a text begins as the URL of a store. */
export function isStoreUrl(text: string): boolean {
  return storeKinds.some(({ scheme }) => text.startsWith(`${scheme}://`));
}
