import { startProcess, tempDir } from "./process.ts";

/** A parent process. It starts a child that connects to the given port, makes a directory, and ends as `ending` says. */
const [port, ending] = process.argv.slice(2);
const directory = await tempDir("fixture");
startProcess(process.execPath, ["-e", `require("node:net").connect(${port}, "127.0.0.1")`]);
process.stdout.write(`${directory.path}\n`);

switch (ending) {
  case "wait":
    break;
  case "exit":
    setTimeout(() => process.exit(3), 500);
    break;
  case "throw":
    setTimeout(() => {
      throw new Error("on purpose");
    }, 500);
    break;
  default:
    throw new Error(`no such ending: ${ending}`);
}
