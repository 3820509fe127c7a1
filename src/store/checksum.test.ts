import assert from "node:assert/strict";
import { it } from "node:test";
import { crc32c } from "@node-rs/crc32";
import { hex8 } from "../core/hex.ts";
import { crcBase64, crcHexOfBase64 } from "./checksum.ts";

it("the CRC-32C of 123456789 is that of RFC 3720, in hex and as S3 writes it", () => {
  const crc = crc32c("123456789");
  assert.equal(hex8(crc), "e3069283");
  assert.equal(crcBase64(crc), "4waSgw==");
  assert.equal(crcHexOfBase64("4waSgw=="), "e3069283");
});

it("a small CRC keeps its leading zeros", () => {
  assert.equal(hex8(0xab), "000000ab");
  assert.equal(crcHexOfBase64(crcBase64(0xab)), "000000ab");
});

it("text that is not the CRC-32C of a whole object is refused", () => {
  for (const text of [undefined, "", "4waSgw==-3", "4waSgw", "AAAAAAAAAAA="])
    assert.equal(crcHexOfBase64(text), undefined);
});
