import { OperatorError, messageOf } from "../../core/errors.ts";

/** The code of what a file system call threw, such as ENOENT. */
export function errnoOf(thrown: unknown): string | undefined {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** Classifies what a file system call threw. `doing` begins the message: `writing /backups/x`. */
export function classifyFile(thrown: unknown, doing: string): OperatorError {
  if (thrown instanceof OperatorError) return thrown;
  const errno = errnoOf(thrown);
  const cause = thrown;
  switch (errno) {
    case "ENOENT":
      return new OperatorError("NotFound", `${doing}: no such file or directory`, { cause });
    case "EEXIST":
      return new OperatorError("AlreadyExists", `${doing}: an object of this name exists already`, { cause });
    case "EACCES":
    case "EPERM":
      return new OperatorError("Unauthorized", `${doing}: permission denied (${errno})`, {
        cause,
        hint: "run this as the owner of the directory, or with the directory's group (fsGroup)",
      });
    case "EROFS":
      return new OperatorError("Unauthorized", `${doing}: the file system is mounted read-only`, {
        cause,
        hint: "mount it read-write, or set the store's accessMode to ReadOnly",
      });
    case "ENOSPC":
    case "EDQUOT":
      return new OperatorError("StoreFailed", `${doing}: no space is left (${errno})`, {
        cause,
        permanent: false,
        hint: "free some space, or keep fewer backups",
      });
    case "ENOTDIR":
    case "EISDIR":
      return new OperatorError(
        "InvalidConfiguration",
        `${doing}: there is a file in place of a directory, or a directory in place of a file`,
        {
          cause,
        },
      );
    case "ENAMETOOLONG":
      return new OperatorError("InvalidConfiguration", `${doing}: the name is too long for the file system`, {
        cause,
      });
    case "ETIMEDOUT":
      return new OperatorError("Timeout", `${doing}: the file system does not answer`, { cause });
    default: {
      const message = messageOf(thrown);
      return new OperatorError("StoreFailed", `${doing}: ${message}`, { cause, permanent: false });
    }
  }
}
