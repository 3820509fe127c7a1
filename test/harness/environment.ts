/**
 * Keeps proxies, CA bundles and tool settings of the test machine away from the servers and clients under test. Children
 * get only the allowed variables. Importing this file also deletes the leaking ones from the test process itself, because
 * clients run inside it.
 */
const allowed = new Set([
  "PATH",
  "HOME",
  "USER",
  "TMPDIR",
  "LANG",
  "LC_ALL",
  "TZ",
  "XDG_CACHE_HOME",
  "NODE_V8_COVERAGE",
]);

const leaking =
  /_proxy$|ca_bundle|ca_certs|cainfo|ssl_cert|ssl_roots|^(AWS|ETCD|ETCDCTL|KUBE|MINIO|VGW)_|^KUBECONFIG$/i;

const original: NodeJS.ProcessEnv = { ...process.env };
for (const name of Object.keys(process.env)) if (leaking.test(name)) delete process.env[name];

/** The environment of a server or client under test: the allowed variables, and those that the caller adds. */
export function cleanEnvironment(added: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => allowed.has(name));
  return { ...Object.fromEntries(kept), ...added };
}

/** The environment in which the user started the tests, for commands that download modules and packages. */
export function originalEnvironment(): NodeJS.ProcessEnv {
  return { ...original };
}
