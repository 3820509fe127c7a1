/** The independent zstd frames of a data object. */
export interface Frames {
  /** Plain bytes in each frame; the last one may hold fewer. */
  plainBytes: number;
  /** Stored bytes of each frame, in order. */
  storedBytes: number[];
}

/** Frames that a manifest lists at most: 64 GiB in frames of 4 MiB. A larger object is stored without the list. */
export const maxFrames = 16_384;

/** Plain bytes of a frame that a reader accepts. It holds a whole frame in memory. */
const maxPlainBytes = 64 * 1024 * 1024;

/** What contradicts the object that the frames belong to, or undefined. `plainBytes`: of the whole plain file. */
export function findFrameProblem(
  { plainBytes, storedBytes }: Frames,
  object: { compression: "Zstd" | "None"; bytes: number; plainBytes: number },
): string | undefined {
  if (object.compression !== "Zstd") return "they need the compression Zstd";
  if (plainBytes > maxPlainBytes) return `plainBytes is more than ${maxPlainBytes}`;
  const count = Math.ceil(object.plainBytes / plainBytes);
  if (storedBytes.length !== count)
    return `${storedBytes.length} frames are listed, ${object.plainBytes} plain bytes need ${count}`;
  const sum = storedBytes.reduce((total, bytes) => total + bytes, 0);
  if (sum !== object.bytes) return `they have ${sum} bytes together, stored.bytes says ${object.bytes}`;
  const largest = largestFrame(plainBytes);
  const oversized = storedBytes.findIndex((bytes) => bytes > largest);
  return oversized < 0 ? undefined : `frame ${oversized} has more than ${largest} bytes`;
}

/** Stored bytes of a frame of incompressible data, generously: zstd adds 3 bytes a block of 128 KiB and a header. */
function largestFrame(plainBytes: number): number {
  return plainBytes + Math.ceil(plainBytes / 256) + 1024;
}
