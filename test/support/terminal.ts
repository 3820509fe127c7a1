import { run } from "../harness/process.ts";

/** Runs a command on a pseudo-terminal with a number of columns, copies its output to stdout and exits with its code. */
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

/** The reason why a pseudo-terminal cannot be made; undefined when it can. */
export async function noTerminal(): Promise<string | undefined> {
  const probe = await run("python3", ["-c", "import pty, fcntl, termios; pty.fork"]).catch(String);
  if (typeof probe !== "string" && probe.code === 0) return undefined;
  return `the pseudo-terminal needs python3: ${typeof probe === "string" ? probe : probe.stderr}`;
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

/** The lines on the screen in the end: a line that was cleared and drawn again has its last state. */
export function screen(written: string): string[] {
  return written
    .split("\n")
    .map((line) => (line.replace(/\r$/, "").split("\r\u001b[K").at(-1) ?? "").trimEnd())
    .filter((line) => line !== "");
}
