import assert from "node:assert/strict";
import { crc32c } from "@node-rs/crc32";
import { createTrailerCheck } from "../../src/snapshot/trailer.ts";
import { withTrailer } from "../testdata/bolt-writer.ts";
import { createRandom } from "../harness/random.ts";
import { sha256 } from "../support/files.ts";
import { cutUp, mutateBytes, type Target } from "./target.ts";

/** In any chunks, a file is split into database and trailer as the whole file is. */
export const trailer: Target = {
  name: "trailer",
  testInputs: 3000,
  isText: false,
  generate(random) {
    const size = random.pick([0, 1, 31, 32, 33, 511, 512, 513, 1024, 4096]);
    const bytes = Buffer.alloc(random.oneIn(4) ? random.below(2000) : size, random.below(256));
    const file = random.oneIn(4) ? bytes : withTrailer(bytes);
    return random.oneIn(2) ? file : mutateBytes(file, random);
  },
  check(input) {
    const check = createTrailerCheck();
    const parts = cutUp(input, createRandom(crc32c(input))).flatMap((chunk) =>
      check.push(chunk).map((part) => Buffer.from(part)),
    );
    const end = check.finish();
    const whole = sha256(input);
    const hasTrailer = input.length % 512 === 32;
    const database = hasTrailer ? input.subarray(0, -32) : input;
    const held = Buffer.from(input.subarray(-32));
    assert.equal(end.fileSha256, whole);
    assert.equal(end.sha256, sha256(database));
    assert.equal(end.dbBytes, database.length);
    assert.deepEqual(Buffer.from(end.rest), held);
    assert.deepEqual(Buffer.concat([...parts, ...(hasTrailer ? [] : [end.rest])]), Buffer.from(database));
    const state = !hasTrailer ? "missing" : held.toString("hex") === sha256(database) ? "valid" : "wrong";
    assert.equal(end.trailer, state);
  },
};
