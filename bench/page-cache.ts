import { open } from "node:fs/promises";
import { runOrThrow } from "../test/harness/process.ts";

/** Drops the file from the page cache and prints the share of its pages that are still there. */
const dropper = `
import ctypes, mmap, os, sys
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open(sys.argv[1], os.O_RDWR)
os.fsync(fd)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
view = mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
pages = (len(view) + mmap.PAGESIZE - 1) // mmap.PAGESIZE
resident = (ctypes.c_ubyte * pages)()
start = ctypes.c_char.from_buffer(view)
if libc.mincore(ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(len(view)), resident) != 0:
    raise OSError(ctypes.get_errno(), "mincore")
print(sum(byte & 1 for byte in bytes(resident)) / pages)
`;

/** Drops a file from the page cache. Throws if it stays there: on a file system in memory, or while it is mapped. */
export async function dropFromMemory(path: string): Promise<void> {
  const share = Number(await runOrThrow("python3", ["-c", dropper, path]));
  if (share > 0.01)
    throw new Error(`${path} stays in memory (${Math.round(share * 100)} %): is TMPDIR on a disk?`);
}

/** Brings a file into the page cache, by reading it once. */
export async function bringIntoMemory(path: string): Promise<void> {
  await using file = await open(path);
  const buffer = Buffer.alloc(1024 * 1024);
  while ((await file.read(buffer)).bytesRead > 0);
}
