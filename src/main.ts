#!/usr/bin/env node
import { run } from "./cli/run.ts";

// Node cannot cancel a TLS handshake with a paused member, and an open handshake would keep the process alive.
process.exit(await run(process.argv.slice(2), process));
