// Follow a stream of locstream: every row once, in order, from any row on.

import * as zmq from "zeromq";
import { columns, pack, ProtocolError, rowBytes, unpack } from "./protocol.js";

const ANSWER_MS = 2_000;
const AGAIN_MS = 50;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Options: stream and history are endpoints; start is the first row wanted (0 for all); timeoutMs is how long silence
// may last, -1 for ever (a service that acquires nothing is silent); keys is what `locstream keys new` has made, for a
// server that asks for it.
export class Client {
  constructor({ stream, history, start = 0, timeoutMs = 10_000, keys = undefined }) {
    const curve = keys && {
      curveServerKey: keys.server_public, curvePublicKey: keys.pair.public, curveSecretKey: keys.pair.secret,
    };
    // No heartbeats: with a full queue they abort the program when the server goes away (libzmq issue 4767).
    const alive = { tcpKeepalive: 1, tcpKeepaliveIdle: 5, tcpKeepaliveInterval: 1, tcpKeepaliveCount: 3, tcpMaxRetransmitTimeout: 8_000 };
    const common = { linger: 0, ...alive, ...curve };
    this.stream = stream;
    this.next = start;
    this.status = undefined;
    this.end = undefined;
    this.rejected = 0;
    this._ids = 0;
    this._sub = new zmq.Subscriber({ receiveHighWaterMark: 100, receiveTimeout: timeoutMs, ...common });
    this._dealer = new zmq.Dealer({ receiveTimeout: ANSWER_MS, sendTimeout: ANSWER_MS, immediate: true, ...common });
    this._timeoutMs = timeoutMs;
    this._sub.connect(stream);
    this._sub.subscribe();
    this._dealer.connect(history);
  }

  // Yield { acquisition, rowFirst, rows, data, columns() } until the acquisition ends.
  async *[Symbol.asyncIterator]() {
    let acquisition, fields, nextSeq;
    for (;;) {
      const { message, data } = await this._hear();
      if (message.type === "hello" && acquisition === undefined) {
        acquisition = message.acquisition;
        fields = message.fields;
        nextSeq = message.seq === 0 ? 0 : -1; // what was published before is to be fetched
      }
      if (acquisition === undefined || message.acquisition !== acquisition) continue; // another's, or before the greeting
      const lost = message.seq !== nextSeq;
      nextSeq = message.type === "hello" ? message.seq : message.seq + 1;
      const beyond = message.type === "end" ? message.rows : message.type === "localizations" ? message.row_first : 0;
      if (lost || beyond > this.next) yield* this._fetch(acquisition, beyond);
      if (message.type === "status") this.status = message;
      if (message.type === "localizations" && message.row_first <= this.next) {
        yield* this._new(acquisition, message.row_first, data, fields);
      }
      if (message.type === "end") {
        this.end = message;
        return;
      }
    }
  }

  close() {
    this._sub.close();
    this._dealer.close();
  }

  async _hear() {
    for (;;) {
      let parts;
      try {
        parts = await this._sub.receive();
      } catch (error) {
        throw new Error(`nothing came from ${this.stream} for ${this._timeoutMs} ms (${error.code})`);
      }
      try {
        return { message: unpack(parts.slice(1)), data: parts[2] };
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        this.rejected++;
      }
    }
  }

  // Fetch what is on disk from the next row on, at least up to `beyond`.
  async *_fetch(acquisition, beyond) {
    const deadline = this._timeoutMs < 0 ? Infinity : Date.now() + this._timeoutMs;
    for (;;) {
      const { message, data } = await this._ask({ type: "fetch", acquisition, from_row: this.next });
      if (message?.type === "chunk" && message.row_first === this.next) {
        yield* this._new(acquisition, message.row_first, data, message.fields);
        if (!message.more && this.next >= beyond) return;
        if (message.rows) continue;
      }
      if (Date.now() > deadline) throw new Error(`rows from ${this.next} on are missing: ${message?.message ?? "no answer"}`);
      await sleep(AGAIN_MS);
    }
  }

  async _ask(request) {
    const id = ++this._ids;
    try {
      await this._dealer.send(pack({ id, ...request }));
      for (;;) {
        const parts = await this._dealer.receive();
        const message = unpack(parts);
        if (message.id === id) return { message, data: parts[1] };
      }
    } catch (error) {
      if (error instanceof ProtocolError) this.rejected++;
      else if (error.code !== "EAGAIN") throw error;
      return {};
    }
  }

  *_new(acquisition, rowFirst, data, fields) {
    const size = rowBytes(fields);
    const known = (this.next - rowFirst) * size;
    if (data === undefined || known >= data.length) return;
    const fresh = data.subarray(known);
    const first = this.next;
    const rows = fresh.length / size;
    this.next += rows;
    yield { acquisition, rowFirst: first, rows, data: fresh, columns: () => columns(fresh, fields) };
  }
}
