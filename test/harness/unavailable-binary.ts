/** A server or tool is unavailable on this host. The message tells why; a test may print it and skip itself. */
export class UnavailableBinary extends Error {
  override readonly name = "UnavailableBinary";
}
