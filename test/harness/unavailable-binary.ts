/** A server or tool cannot be had on this host; the message says why. A test may skip itself and print it. */
export class UnavailableBinary extends Error {
  override readonly name = "UnavailableBinary";
}
