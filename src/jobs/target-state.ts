import { readMarker } from "../restore/marker.ts";
import { checkTarget } from "../restore/target.ts";

/** One step of a restore in the volume of one member. */
export interface VolumeRestore {
  /** UID of the EtcdRestore. */
  id: string;
  dataDir: string;
}

/** `placed`: this very restore has put its data there. Throws Refused for any other data. */
export async function targetState({ id, dataDir }: VolumeRestore): Promise<"fresh" | "placed"> {
  const marker = await readMarker(dataDir);
  if (marker?.["restore"] === id) return "placed";
  await checkTarget({ dataDir });
  return "fresh";
}
