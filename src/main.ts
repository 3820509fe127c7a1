#!/usr/bin/env node
import { run } from "./cli/run.ts";

// A TLS handshake with a member that is paused cannot be called off, and would keep the process alive for as long.
process.exit(await run(process.argv.slice(2), process));
