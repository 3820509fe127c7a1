import { hex8 } from "../core/hex.ts";

/** A CRC-32C as S3 writes it: base64 of its 4 bytes, most significant first. */
export function crcBase64(crc: number): string {
  return Buffer.from(hex8(crc), "hex").toString("base64");
}

/** 8 hex digits from S3's base64; undefined for text that is not the CRC-32C of a whole object, such as `…-3`. */
export function crcHexOfBase64(text: string | undefined): string | undefined {
  if (text === undefined || !/^[A-Za-z0-9+/]{6}==$/.test(text)) return undefined;
  return Buffer.from(text, "base64").toString("hex");
}
