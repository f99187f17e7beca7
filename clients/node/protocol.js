// The wire protocol of locstream, version 1, as docs/protocol.md has it: bytes in, messages and columns out.

import { decode, encode } from "@msgpack/msgpack";

export const PROTOCOL = 1;
export const MAX_HEADER_BYTES = 65_536;
const MOST = 2 ** 53;

export class ProtocolError extends Error {}

const text = (v) => typeof v === "string";
const real = (v) => typeof v === "number";
const whole = (v) => Number.isInteger(v);
const count = (v) => Number.isInteger(v) && v >= 0 && v <= MOST;
const truth = (v) => typeof v === "boolean";
const map = (v) => typeof v === "object" && v !== null && !Array.isArray(v);

// The fields without a default; all others may be missing, and unknown ones are ignored.
const REQUIRED = {
  hello: { acquisition: text, seq: whole, name: text, software: text, width: whole, height: whole, pixel_size_nm: real, started_s: real },
  localizations: { acquisition: text, seq: whole, frame_first: whole, frame_last: whole, row_first: count, rows: count },
  status: { acquisition: text, seq: whole, state: text, ledger: map },
  end: { acquisition: text, seq: whole, outcome: text, frames: whole, rows: count },
  request: { id: whole, verb: text },
  reply: { id: whole, ok: truth },
  fetch: { id: whole },
  chunk: { id: whole, acquisition: text, row_first: count, rows: count, committed: count, more: truth, ended: truth, fields: Array.isArray },
};

const TYPES = {
  "<f4": [4, "getFloat32", Float32Array], "<f8": [8, "getFloat64", Float64Array],
  "<u2": [2, "getUint16", Uint16Array], "<u4": [4, "getUint32", Uint32Array], "<i4": [4, "getInt32", Int32Array],
  "<u8": [8, "getBigUint64", BigUint64Array], "<i8": [8, "getBigInt64", BigInt64Array],
  "|u1": [1, "getUint8", Uint8Array], "<u1": [1, "getUint8", Uint8Array],
};

// Return the header of a message; parts without the topic. Throws ProtocolError.
export function unpack(parts) {
  if (parts.length === 0) throw new ProtocolError("a message without a header");
  if (parts[0].length > MAX_HEADER_BYTES) throw new ProtocolError(`a header of ${parts[0].length} bytes is too long`);
  let header;
  try {
    header = decode(parts[0]);
  } catch (error) {
    throw new ProtocolError(`not a message of this protocol: ${error.message}`);
  }
  if (!map(header) || !text(header.type) || !whole(header.protocol)) throw new ProtocolError("not a message of this protocol");
  if (header.protocol !== PROTOCOL) {
    throw new ProtocolError(`the other side speaks protocol ${header.protocol}, this program speaks ${PROTOCOL}`);
  }
  const required = Object.hasOwn(REQUIRED, header.type) ? REQUIRED[header.type] : undefined;
  if (required === undefined) throw new ProtocolError(`a message of the unknown type ${header.type}`);
  for (const [name, good] of Object.entries(required)) {
    if (!good(header[name])) throw new ProtocolError(`a malformed ${header.type}: its ${name}`);
  }
  return header;
}

export function pack(message) {
  return encode({ protocol: PROTOCOL, ...message });
}

// Return the number of bytes of a row that `fields` describes.
export function rowBytes(fields) {
  let bytes = 0;
  for (const { name, dtype } of fields) {
    if (!Object.hasOwn(TYPES, dtype)) throw new ProtocolError(`the column ${name} is announced as ${dtype}, not a plain number`);
    bytes += TYPES[dtype][0];
  }
  if (bytes === 0) throw new ProtocolError("rows without columns are announced");
  return bytes;
}

// Return the columns of packed rows as typed arrays, by name.
export function columns(buffer, fields) {
  const size = rowBytes(fields);
  const rows = buffer.length / size;
  if (!Number.isInteger(rows)) throw new ProtocolError(`${buffer.length} bytes are not rows of ${size} bytes`);
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  const found = {};
  let offset = 0;
  for (const { name, dtype } of fields) {
    const [bytes, read, Values] = TYPES[dtype];
    const values = new Values(rows);
    for (let row = 0; row < rows; row++) values[row] = view[read](row * size + offset, true);
    found[name] = values;
    offset += bytes;
  }
  return found;
}
