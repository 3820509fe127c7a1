import { run } from "../harness/process.ts";

/** Runs its arguments on a terminal of so many columns, passes on what appears there, and ends as they end. */
const script = `
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
while True:
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data:
        break
    os.write(1, data)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

/** Why there is no terminal to be had; undefined when there is one. */
export async function noTerminal(): Promise<string | undefined> {
  const probe = await run("python3", ["-c", "import pty, fcntl, termios; pty.fork"]).catch(String);
  if (typeof probe !== "string" && probe.code === 0) return undefined;
  return `python3 makes the terminal, and it is not there: ${typeof probe === "string" ? probe : probe.stderr}`;
}

/** Everything that a command writes to a terminal, escape sequences included. */
export async function onTerminal(
  command: string[],
  options: { columns: number; env?: Record<string, string> },
): Promise<{ code: number; written: string }> {
  const { code, stdout } = await run("python3", ["-c", script, String(options.columns), ...command], {
    env: { TERM: "xterm-256color", ...options.env },
  });
  return { code, written: stdout };
}

/** What is to be seen in the end: a line that was cleared and drawn again shows its last state. */
export function screen(written: string): string[] {
  return written
    .split("\n")
    .map((line) => (line.replace(/\r$/, "").split("\r\u001b[K").at(-1) ?? "").trimEnd())
    .filter((line) => line !== "");
}
