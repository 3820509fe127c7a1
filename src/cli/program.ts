import { Command, Option } from "commander";
import { type Context, logLevels } from "./context.ts";
import { addEtcdVerbs } from "./verbs/etcd.ts";
import { addOperator } from "./verbs/operator.ts";
import { addRemovalVerbs } from "./verbs/removal.ts";
import { addRestore, addRestoreSteps } from "./verbs/restore.ts";
import { addScheduleVerbs } from "./verbs/schedule.ts";
import { addClaim, addStoreVerbs } from "./verbs/store.ts";
import { programVersion } from "./version.ts";

/** The command line: verbs, options and help. A verb's code is loaded when the verb runs. */
export function build(context: Context): Command {
  const program = new Command("etcd-backup")
    .description("Save verified backups of any etcd in an object store, and restore clusters from them.")
    .version(programVersion(), "-V, --version", "print the version")
    .addOption(
      new Option(
        "--log-level <level>",
        "least severe messages to print; error hides progress, debug adds the stack of an error",
      )
        .choices(logLevels)
        .default("info"),
    )
    .option("-q, --quiet", "hide progress; print the result, warnings and errors")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .addHelpText("after", exitCodesHelp)
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      // Commander's errors begin with `error: `.
      writeErr: (text) => context.stderr.write(text.replace(/^error: /, "etcd-backup: ")),
    })
    .showHelpAfterError("(see --help)")
    .exitOverride();
  addEtcdVerbs(program, context);
  addStoreVerbs(program, context);
  addRemovalVerbs(program, context);
  addRestore(program, context);
  addClaim(program, context);
  addRestoreSteps(program, context);
  addScheduleVerbs(program, context);
  addOperator(program, context);
  return program;
}

const exitCodesHelp = `
Exit codes:
  0    done
  1    failed; another attempt may succeed
  2    the command line is wrong
  3    failed; another attempt would fail as well
  4    verification failed
  130  stopped by Ctrl-C (143: by SIGTERM)`;
