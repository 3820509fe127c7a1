import { mkdir, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createFileStore } from "../../../src/store/file/file-store.ts";
import { storeContract } from "../../../src/store/store.contract.ts";
import { tempDir } from "../../harness/temp-dir.ts";

storeContract("a directory", async () => {
  const directory = await tempDir("store-file");
  const { path } = directory;
  return {
    store: createFileStore({ path }),
    partSize: 1024 * 1024,
    reopen: async () => createFileStore({ path }),
    async leaveUnfinished(name) {
      const file = join(path, name);
      await mkdir(dirname(file), { recursive: true });
      const temporary = file.replace(/([^/]+)$/, ".$1~0123456789abcdef.part");
      await writeFile(temporary, "half of it");
    },
    async unfinished() {
      const entries = await readdir(path, { recursive: true });
      return entries.filter((entry) => entry.includes("~"));
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
});
