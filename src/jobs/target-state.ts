import { readMarker } from "../restore/marker.ts";
import { checkTarget } from "../restore/target.ts";

/** The restore of one member's volume. */
export interface VolumeRestore {
  /** UID of the EtcdRestore. */
  id: string;
  dataDir: string;
}

/** "placed": this restore has filled the data directory already. Throws Refused when it holds any other data. */
export async function targetState({ id, dataDir }: VolumeRestore): Promise<"fresh" | "placed"> {
  const marker = await readMarker(dataDir);
  if (marker?.["restore"] === id) return "placed";
  await checkTarget({ dataDir });
  return "fresh";
}
