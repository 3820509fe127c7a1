import { OperatorError } from "../core/errors.ts";
import type { Environment } from "./environment.ts";

/** Proxies for http and https requests, in the form of the option `proxyEnv` of Node's agents. */
export interface ProxySettings {
  HTTP_PROXY?: string;
  HTTPS_PROXY?: string;
  /** Entries as Node reads them. */
  NO_PROXY?: string;
}

/**
 * The proxies of an environment: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, each also in lower case, which takes precedence.
 * Undefined when it names none. Throws InvalidConfiguration for a proxy that is not an http or https URL.
 */
export function proxyOf(env: Environment): ProxySettings | undefined {
  const http = proxyUrl(env, "HTTP_PROXY");
  const https = proxyUrl(env, "HTTPS_PROXY");
  if (http === undefined && https === undefined) return undefined;
  const exceptions = valueOf(env, "NO_PROXY");
  return {
    ...(http === undefined ? {} : { HTTP_PROXY: http }),
    ...(https === undefined ? {} : { HTTPS_PROXY: https }),
    ...(exceptions === undefined ? {} : { NO_PROXY: nodeExceptions(exceptions) }),
  };
}

function valueOf(env: Environment, name: string): string | undefined {
  return [env[name.toLowerCase()], env[name]].find((text) => text !== undefined && text !== "");
}

function proxyUrl(env: Environment, name: string): string | undefined {
  const text = valueOf(env, name);
  if (text === undefined) return undefined;
  const url = URL.parse(text.includes("://") ? text : `http://${text}`);
  if (url !== null && /^https?:$/.test(url.protocol) && url.hostname !== "") return url.href;
  // The text may hold a password.
  throw new OperatorError("InvalidConfiguration", `${name} is not the URL of an http or https proxy`, {
    hint: "write it such as http://proxy.example.com:3128",
  });
}

/** As other programs read NO_PROXY: a domain includes its subdomains, and 10.0.0.0/8 is a range of addresses. */
function nodeExceptions(text: string): string {
  return text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "")
    .flatMap((entry) => [
      rangeOf(entry) ?? entry,
      ...(/^[a-z0-9][a-z0-9.-]*[a-z]$/i.test(entry) ? [`.${entry}`] : []),
    ])
    .join(",");
}

/** `first-last` of an IPv4 network in CIDR notation. */
function rangeOf(entry: string): string | undefined {
  const [, a, b, c, d, bits] = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(entry) ?? [];
  if (bits === undefined || Number(bits) > 32) return undefined;
  const size = 2 ** (32 - Number(bits));
  const address = [a, b, c, d].reduce((sum, part) => sum * 256 + Number(part), 0);
  const first = Math.floor(address / size) * size;
  return `${dotted(first)}-${dotted(first + size - 1)}`;
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}
