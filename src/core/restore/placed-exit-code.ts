/**
 * Exit code of the `fetch` container that finds the data of its own restore in the volume. etcd's image has no shell that
 * could leave out the next container, so the Pod ends here. Node.js itself uses the codes up to 14, and a signal 128 and
 * more.
 */
export const placedExitCode = 20;
