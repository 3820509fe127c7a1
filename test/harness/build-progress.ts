/** Shows the progress of `work` on standard error: one line that is updated on a terminal, else a line at start and end. */
export async function withProgress<T>(what: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  const seconds = (): string => `${Math.round((performance.now() - started) / 1000)} s`;
  const terminal = process.stderr.isTTY;
  const draw = (): void => void process.stderr.write(`\r\x1b[K${what} … ${seconds()}`);
  if (terminal) draw();
  else process.stderr.write(`${what} …\n`);
  const timer = terminal ? setInterval(draw, 1000) : undefined;
  const end = (how: string): void => {
    clearInterval(timer);
    process.stderr.write(`${terminal ? "\r\x1b[K" : ""}${what}: ${how} after ${seconds()}\n`);
  };
  try {
    const result = await work();
    end("done");
    return result;
  } catch (error) {
    end("failed");
    throw error;
  }
}
