import { setTimeout as delay } from "node:timers/promises";
import { Etcd3 } from "etcd3";

// Puts at a constant rate until it is stopped: `node bench/writer.ts <endpoint> <puts a second>`. It prints one line a put:
// when the put was sent (milliseconds since 1970) and how long the answer took (milliseconds). It does not wait for an
// answer before it sends the next put, so that a slow server does not reduce the load.

const [endpoint = "", perSecond = ""] = process.argv.slice(2);
const client = new Etcd3({ hosts: endpoint });
const value = Buffer.alloc(1024, "v");
const period = 1000 / Number(perSecond);
const begin = performance.now();

async function put(index: number): Promise<void> {
  const sent = performance.now();
  await client.put(`/bench/writer/${index % 1000}`).value(value);
  const took = performance.now() - sent;
  process.stdout.write(`${(performance.timeOrigin + sent).toFixed(3)} ${took.toFixed(3)}\n`);
}

for (let index = 0; ; index += 1) {
  const wait = begin + index * period - performance.now();
  if (wait > 0) await delay(wait);
  put(index).catch((error: unknown) => {
    process.stderr.write(`put: ${String(error)}\n`);
    process.exit(1);
  });
}
