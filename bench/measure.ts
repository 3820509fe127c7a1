import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { run, tempDir } from "../test/harness/process.ts";

/** The cost of one process and of the children that it waited for, as the kernel counted it at the end. */
export interface Cost {
  wallSeconds: number;
  userSeconds: number;
  systemSeconds: number;
  /** Resident memory, mapped pages of files included. */
  peakBytes: number;
  /** Bytes written to file systems on a disk, whether or not they reached the disk yet. */
  writtenBytes: number;
}

/** Runs a command, writes its cost to a file and exits with its exit code. The kernel kills the command with this process. */
const waiter = `
import ctypes, json, os, sys, time
libc = ctypes.CDLL(None)
begin = time.monotonic()
pid = os.fork()
if pid == 0:
    libc.prctl(1, 9)
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        print(sys.argv[2], error, file=sys.stderr)
        os._exit(127)
_, status, used = os.wait4(pid, 0)
wall = time.monotonic() - begin
with open(sys.argv[1], "w") as result:
    json.dump({"wallSeconds": wall, "userSeconds": used.ru_utime, "systemSeconds": used.ru_stime,
               "peakBytes": used.ru_maxrss * 1024, "writtenBytes": used.ru_oublock * 512}, result)
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128)
`;

export interface MeasureOptions {
  /** Added to the clean environment. */
  env?: NodeJS.ProcessEnv;
}

/** Runs a command to its end in a clean environment. Throws with its output if its exit code is not 0. */
export async function measure(command: string, args: string[], options: MeasureOptions = {}): Promise<Cost> {
  return (await measureWithOutput(command, args, options)).cost;
}

/** As `measure`; also returns standard output. */
export async function measureWithOutput(
  command: string,
  args: string[],
  options: MeasureOptions = {},
): Promise<{ cost: Cost; stdout: string }> {
  await using directory = await tempDir("measured");
  const result = join(directory.path, "cost.json");
  const { code, stdout, stderr } = await run("python3", ["-c", waiter, result, command, ...args], options);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")}: exit code ${code}\n${stderr}${stdout}`);
  return { cost: JSON.parse(await readFile(result, "utf8")) as Cost, stdout };
}

/** The cost of commands that ran one after the other: times and bytes are added, the peak is the highest one. */
export function inSequence(costs: readonly Cost[]): Cost {
  const sum = (of: (cost: Cost) => number) => costs.reduce((total, cost) => total + of(cost), 0);
  return {
    wallSeconds: sum((cost) => cost.wallSeconds),
    userSeconds: sum((cost) => cost.userSeconds),
    systemSeconds: sum((cost) => cost.systemSeconds),
    peakBytes: Math.max(...costs.map((cost) => cost.peakBytes)),
    writtenBytes: sum((cost) => cost.writtenBytes),
  };
}

/** User and system seconds of a running process so far, without its children. Linux only. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // The command's name, in parentheses, may hold any character: the fields follow the last parenthesis.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
