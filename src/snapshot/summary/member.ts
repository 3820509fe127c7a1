export interface SnapshotMember {
  /** Member ID in hex, as etcd prints it. */
  id: string;
  name: string;
  peerURLs: string[];
  clientURLs: string[];
  isLearner: boolean;
}

/**
 * A pair of the `members` bucket: the hex ID, and etcd's Member as JSON. Undefined when the value is no JSON object.
 * The JSON holds the ID as a number above 2^53, so the ID is taken from the key.
 */
export function decodeMember(id: string, value: Buffer): SnapshotMember | undefined {
  let entry: unknown;
  try {
    entry = JSON.parse(value.toString());
  } catch {
    return undefined;
  }
  if (typeof entry !== "object" || entry === null) return undefined;
  const fields = new Map<string, unknown>(Object.entries(entry));
  const name = fields.get("name");
  return {
    id,
    name: typeof name === "string" ? name : "",
    peerURLs: strings(fields.get("peerURLs")),
    clientURLs: strings(fields.get("clientURLs")),
    isLearner: fields.get("isLearner") === true,
  };
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}
