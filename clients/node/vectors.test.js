// The test vectors of the protocol: node --test, or VECTORS=path node --test.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { columns, ProtocolError, unpack } from "./protocol.js";

const path = process.env.VECTORS ?? new URL("../../docs/vectors/protocol-1.json", import.meta.url);
const { vectors } = JSON.parse(readFileSync(path, "utf8"));
const hellos = new Map();

for (const vector of vectors) {
  test(vector.name, () => {
    const parts = vector.parts.map((part) => Buffer.from(part, "base64")).slice(vector.socket === "stream" ? 1 : 0);
    if (vector.refused !== null) {
      assert.throws(() => unpack(parts), ProtocolError);
      return;
    }
    const header = unpack(parts);
    for (const [name, value] of Object.entries(vector.header)) assert.deepEqual(header[name], value, name);
    if (header.type === "hello") hellos.set(header.acquisition, header.fields);
    if (vector.rows === null) return;
    assert.equal(createHash("sha256").update(parts[1]).digest("hex"), vector.rows_sha256);
    const found = columns(parts[1], header.fields ?? hellos.get(header.acquisition));
    vector.rows.forEach((row, i) => {
      for (const [name, value] of Object.entries(row)) assert.equal(found[name][i], value, `${name} of row ${i}`);
    });
    assert.equal(found.frame.length, vector.rows.length);
  });
}

test("bytes that are no messages are refused", () => {
  for (const bytes of [[], [0x91], [0xc1], [0x81, 0xa4], Array(70_000).fill(0x80), [0x81, 0xa4, 0x74, 0x79, 0x70, 0x65, 0xa1, 0x78]]) {
    assert.throws(() => unpack([Uint8Array.from(bytes)]), ProtocolError);
  }
  assert.throws(() => unpack([]), ProtocolError);
});
