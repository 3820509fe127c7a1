/**
 * The part of the metadata proposal that the container inside @peculiar/x509 asks `Reflect` for; its decorated
 * classes register themselves at import. Import this file before that library.
 */
const metadata = new WeakMap<object, Map<unknown, unknown>>();

function own(target: object): Map<unknown, unknown> {
  const entries = metadata.get(target) ?? new Map<unknown, unknown>();
  metadata.set(target, entries);
  return entries;
}

function inherited(key: unknown, target: object): unknown {
  for (let holder: object | null = target; holder !== null; holder = Object.getPrototypeOf(holder)) {
    const entries = metadata.get(holder);
    if (entries?.has(key) === true) return entries.get(key);
  }
  return undefined;
}

if (!("getMetadata" in Reflect)) {
  Object.assign(Reflect, {
    defineMetadata: (key: unknown, value: unknown, target: object) => void own(target).set(key, value),
    getMetadata: inherited,
    getOwnMetadata: (key: unknown, target: object) => metadata.get(target)?.get(key),
    metadata: (key: unknown, value: unknown) => (target: object) => void own(target).set(key, value),
  });
}
